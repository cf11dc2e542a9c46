// Draws the overview's plots; a bar leads to the list of what it counts, as its number in the table does.

const COLOURS = {
  read: "#0b5a54", delivered: "#2f9e92", sent: "#8fcfc6", sending: "#7aa6d8", queued: "#d4a72c",
  unknown: "#9a6fb0", expired: "#d97b4f", failed: "#b3261e", dead: "#7a1712",
};

for (const canvas of document.querySelectorAll(".overview-canvas canvas")) {
  const section = canvas.closest("section");
  const { steps, series } = JSON.parse(canvas.dataset.plot);
  const text = getComputedStyle(document.body).color;
  new Chart(canvas, {
    type: "bar",
    data: {
      labels: steps,
      datasets: series.map(({ key, name, values }) => ({ label: name, data: values, backgroundColor: COLOURS[key] || "#888" })),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      scales: {
        x: { stacked: true, ticks: { color: text, maxRotation: 0, autoSkip: true }, grid: { display: false } },
        y: { stacked: true, beginAtZero: true, ticks: { color: text, precision: 0 } },
      },
      plugins: { legend: { position: "bottom", labels: { color: text, boxWidth: 12 } } },
      onClick: (_event, bars) => {
        if (!bars.length) return;
        const { index, datasetIndex } = bars[0];
        const row = section.querySelectorAll("tbody tr")[index];
        row?.children[datasetIndex + 1]?.querySelector("a")?.click();
      },
    },
  });
}
