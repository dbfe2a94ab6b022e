// Evaluated in a page: returns what can be seen of its layout, as plain data that tests/page/looking.py judges.
() => {
  const root = document.documentElement;
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const named = (element) => {
    const words = (element.getAttribute("class") || element.id || "").trim();
    return element.tagName.toLowerCase() + (words ? "." + words.split(/\s+/).join(".") : "");
  };

  // colours as [red, green, blue, opacity], each from 0 to 1
  const known = new Map();
  const colour = (text) => {
    if (!known.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      known.set(text, [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255));
    }
    return known.get(text);
  };
  const over = (above, below, opacity = 1) => {
    const share = above[3] * opacity;
    return [0, 1, 2].map((part) => above[part] * share + below[part] * (1 - share)).concat(1);
  };
  const luminance = (parts) => {
    const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (first, second) => {
    const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.push(colour(getComputedStyle(each).backgroundColor));
    // below all others lies what the scheme paints: Canvas
    return layers.reverse().reduce((below, above) => over(above, below), colour("Canvas"));
  };

  const boxed = (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return { left, right, top, bottom };
  };
  const meets = (one, other, slack) =>
    one.left < other.right - slack && other.left < one.right - slack && one.top < other.bottom - slack && other.top < one.bottom - slack;

  const figures = [...document.querySelectorAll("svg")].filter(shown).map((svg) => {
    const ground = paper(svg), place = boxed(svg), unit = svg.viewBox.baseVal ? place.right - place.left ? (place.right - place.left) / svg.viewBox.baseVal.width : 1 : 1;
    const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim() && shown(text)).map((text) => ({
      words: text.textContent,
      height: parseFloat(getComputedStyle(text).fontSize) * unit,
      // the box of a text holds the empty space above and below its letters
      box: (({ left, right, top, bottom }) => ({ left, right, top: top + (bottom - top) * 0.15, bottom: bottom - (bottom - top) * 0.15 }))(boxed(text)),
      element: text,
    }));
    const marks = [...svg.querySelectorAll("circle, rect, line, path, polygon, polyline, ellipse, use")].filter(shown);
    const painted = (mark) => {
      const style = getComputedStyle(mark), opacity = parseFloat(style.opacity);
      const fill = style.fill === "none" ? null : over(colour(style.fill), ground, parseFloat(style.fillOpacity) * opacity);
      const stroke = style.stroke === "none" || !parseFloat(style.strokeWidth) ? null : over(colour(style.stroke), ground, parseFloat(style.strokeOpacity) * opacity);
      return { fill: mark.tagName === "line" ? null : fill, stroke };
    };
    const areas = marks.map((mark) => ({ mark, box: boxed(mark), fill: painted(mark).fill })).filter((area) => area.fill && !["path", "polyline"].includes(area.mark.tagName));
    const below = (text) => {
      const x = (text.box.left + text.box.right) / 2, y = (text.box.top + text.box.bottom) / 2;
      const under = areas.filter(
        ({ mark, box }) =>
          box.left <= x && x <= box.right && box.top <= y && y <= box.bottom &&
          mark.compareDocumentPosition(text.element) & Node.DOCUMENT_POSITION_FOLLOWING
      );
      return under.length ? under[under.length - 1].fill : ground;
    };
    const overlapping = [];
    for (let first = 0; first < texts.length; first++)
      for (let second = first + 1; second < texts.length; second++)
        if (meets(texts[first].box, texts[second].box, 0.5)) overlapping.push([texts[first].words, texts[second].words]);
    const classes = {};
    for (const mark of marks) {
      const { fill, stroke } = painted(mark);
      const best = Math.max(...[fill, stroke].filter(Boolean).map((each) => contrast(each, ground)), 0);
      const name = named(mark);
      classes[name] = Math.min(best, classes[name] ?? Infinity);
    }
    return {
      name: svg.id,
      width: place.right - place.left,
      overlapping,
      outside: texts.filter(({ box }) => box.left < place.left - 1 || box.right > place.right + 1 || box.top < place.top - 1 || box.bottom > place.bottom + 1).map(({ words }) => words),
      least_text: Math.min(...texts.map(({ height }) => height), Infinity),
      faint: texts.map((text) => [text.words, contrast(over(colour(getComputedStyle(text.element).fill), below(text)), below(text))]).filter(([, ratio]) => ratio < 4.5),
      marks: classes,
    };
  });

  const scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  const inScroller = (element) => {
    for (let each = element.parentElement; each && each !== document.body; each = each.parentElement) if (scrolls(each)) return true;
    return false;
  };
  const everything = [...document.body.querySelectorAll("*")].filter((element) => !element.closest("svg") && shown(element));
  const words = document.body.innerText;
  return {
    width: root.clientWidth,
    scroll_width: root.scrollWidth,
    spilling: everything.filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width > 1 && box.height > 1 && box.right > root.clientWidth + 1 && !inScroller(element);
    }).map(named),
    cut: everything.filter((element) => {
      const style = getComputedStyle(element);
      // hidden from sight on purpose, for screen readers
      if (element.clientWidth <= 1 || element.clientHeight <= 1 || style.display === "inline") return false;
      const hides = (overflow) => ["hidden", "clip"].includes(overflow);
      return (hides(style.overflowX) && element.scrollWidth > element.clientWidth + 1) || (hides(style.overflowY) && element.scrollHeight > element.clientHeight + 1);
    }).map(named),
    scrolling: everything.filter((element) => scrolls(element) && element.scrollWidth > element.clientWidth + 1).map(named),
    background: paper(document.body).slice(0, 3).map((part) => Math.round(part * 255)),
    ink: contrast(colour(getComputedStyle(document.body).color), paper(document.body)),
    tables: [...document.querySelectorAll("table")].map(shown),
    closed: [...document.querySelectorAll("details")].filter((details) => [...details.children].some((child) => child.tagName !== "SUMMARY" && !shown(child))).length,
    switches: document.querySelectorAll("input[type=radio]").length,
    nodes: document.querySelectorAll("*").length,
    words,
    figures,
  };
}
