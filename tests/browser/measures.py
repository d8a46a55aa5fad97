"""What is measured in the browser: how large the things are that people touch, and what moves."""

from __future__ import annotations

from playwright.async_api import Page

TOUCH = 44  # CSS pixels on each side (WCAG 2.2, 2.5.5)

# A target is as large as what reacts to a touch: the label around a box, the card that a link
# stretches over. A link within a sentence may be as high as its line (2.5.5, inline).
_SMALL_TARGETS = """
(least) => {
  const seen = (element) => {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true }) && style.pointerEvents !== "none"
      && box.width > 1 && box.height > 1;
  };
  const words = (text) => text.replace(/\\s+/g, "");
  const inSentence = (link) => {
    if (getComputedStyle(link).display !== "inline") return false;
    if (link.closest(".prose-soonish")) return true;  // what people wrote themselves
    const block = link.parentElement.closest("p, li, dd, td, th, label, legend, span, div, pre");
    return block && words(block.textContent).length > words(link.textContent).length;
  };
  const stretched = (link) => getComputedStyle(link, "::after").position === "absolute";
  const target = (element) => {
    if (element.matches("input") && element.closest("label")) return element.closest("label");
    if (element.matches("a") && stretched(element)) return element.offsetParent ?? element;
    return element;
  };
  const small = [];
  const all = "a[href], button, input, select, textarea, summary";
  for (const element of document.querySelectorAll(all)) {
    if (element.type === "hidden" || !seen(element)) continue;
    if (element.matches("a") && inSentence(element)) continue;
    const { width, height } = target(element).getBoundingClientRect();
    if (width < least - 0.5 || height < least - 0.5) {
      const size = `${Math.round(width)}x${Math.round(height)}`;
      small.push(`${size}: ${element.outerHTML.replace(/\\s+/g, " ").slice(0, 160)}`);
    }
  }
  return small;
}
"""
_OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
_MOVING = """
() => [...document.querySelectorAll("*")].filter((element) =>
  [undefined, "::before", "::after"].some((part) => {
    const style = getComputedStyle(element, part);
    const lasting = style.transitionDuration.split(", ").some((seconds) => seconds !== "0s");
    return style.animationName !== "none" || lasting;
  })).length
"""


async def small_targets(page: Page) -> list[str]:
    """What can be touched and is smaller than a finger, with its size."""
    return await page.evaluate(_SMALL_TARGETS, TOUCH)


async def open_everything(page: Page) -> None:
    """Unfold all that is folded, as somebody does who looks for something."""
    await page.evaluate(_OPEN_ALL)


async def width_over(page: Page) -> int:
    """By how many pixels the page can be scrolled sideways."""
    return await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


async def moving(page: Page) -> int:
    """How many elements have an animation or a transition."""
    return await page.evaluate(_MOVING)
