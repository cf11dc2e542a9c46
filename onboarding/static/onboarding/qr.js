// A QR code as SVG without a size.

import { encode } from "./vendor/uqr-0.1.3.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET_ZONE = 4; // modules of white around the code, as ISO/IEC 18004 asks for

export function drawQr(text) {
  const { data, size } = encode(text, { ecc: "M", border: QUIET_ZONE });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.append(path({ fill: "#ffffff", d: `M0 0h${size}v${size}H0z` }));
  svg.append(path({ fill: "#0b1f1a", d: darkModules(data) }));
  return svg;
}

function path(attributes) {
  const element = document.createElementNS(SVG, "path");
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Each run of dark modules in a row is one rectangle.
function darkModules(rows) {
  let drawn = "";
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue;
      const start = x;
      while (row[x + 1]) x++;
      drawn += `M${start} ${y}h${x + 1 - start}v1H${start}z`;
    }
  });
  return drawn;
}
