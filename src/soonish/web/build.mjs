// Builds src/soonish/web/assets: the compiled stylesheet, the scripts and pictures under names
// that carry a hash of their content, each also as .br and .gz, and manifest.json (name -> file).
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const web = dirname(fileURLToPath(import.meta.url));
const root = join(web, "../../..");
const assets = join(web, "assets");
const modules = join(root, "node_modules");
const copied = {
  // One file, so that a page that is swapped in can follow a stream at once.
  "htmx.js": ["htmx.org/dist/htmx.min.js", "htmx-ext-sse/dist/sse.min.js"],
  "alpine.js": "@alpinejs/csp/dist/cdn.min.js",
  "swagger-ui.js": "swagger-ui-dist/swagger-ui-bundle.js",
  "swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
  // Headings: two subsets for pages, the whole face for generated pictures (web/pictures.py).
  "heading.woff2": "@fontsource/bricolage-grotesque/files/bricolage-grotesque-latin-700-normal.woff2",
  "heading-ext.woff2": "@fontsource/bricolage-grotesque/files/bricolage-grotesque-latin-ext-700-normal.woff2",
  "heading.ttf": "@expo-google-fonts/bricolage-grotesque/700Bold/BricolageGrotesque_700Bold.ttf",
};

function compileStyles(folder) {
  const output = join(folder, "app.css");
  const cli = join(modules, "@tailwindcss/cli/dist/index.mjs");
  const run = spawnSync(process.execPath, [cli, "-i", join(web, "static/app.css"), "-o", output, "--minify"], {
    cwd: root,
    encoding: "utf8",
  });
  if (run.status !== 0) throw new Error(`tailwindcss failed\n${run.stdout}\n${run.stderr}`);
  return readFileSync(output);
}

// Scripts are apart by a line; a file that stands alone stays as it is (a font has no byte to spare).
function joined(paths) {
  const files = paths.map((path) => readFileSync(join(modules, path)));
  return Buffer.concat(files.flatMap((file, n) => (n ? [Buffer.from("\n"), file] : [file])));
}

function sources(folder) {
  const files = Object.entries(copied).map(([name, path]) => [name, joined([path].flat())]);
  for (const name of readdirSync(join(web, "static"))) {
    if (!name.endsWith(".css")) files.push([name, readFileSync(join(web, "static", name))]);
  }
  return files;
}

// The stylesheet names files as they are called in the sources: url(heading.woff2).
function linkedStyles(folder, manifest) {
  const css = compileStyles(folder).toString();
  return Buffer.from(css.replace(/url\("?([\w-]+\.woff2)"?\)/g, (_, name) => `url(/assets/${manifest[name]})`));
}

function write(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 12);
  const kind = extname(name);
  const file = `${name.slice(0, -kind.length)}.${hash}${kind}`;
  const quality = { [constants.BROTLI_PARAM_QUALITY]: content.length > 300_000 ? 6 : 11 };
  writeFileSync(join(assets, file), content);
  writeFileSync(join(assets, `${file}.gz`), gzipSync(content, { level: 9 }));
  writeFileSync(join(assets, `${file}.br`), brotliCompressSync(content, { params: quality }));
  return file;
}

function build() {
  const scratch = mkdtempSync(join(tmpdir(), "soonish-assets-"));
  try {
    const files = sources(scratch);
    rmSync(assets, { recursive: true, force: true });
    mkdirSync(assets, { recursive: true });
    const manifest = Object.fromEntries(files.map(([name, content]) => [name, write(name, content)]));
    manifest["app.css"] = write("app.css", linkedStyles(scratch, manifest));
    writeFileSync(join(assets, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

build();
if (process.argv.includes("--watch")) {
  let timer;
  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(build, 100);
  };
  for (const folder of ["static", "templates"]) watch(join(web, folder), { recursive: true }, again);
}
