// Explorers without a kernel: sliders that step through figures drawn beforehand.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".frames")) {
    const { controls, frames } = JSON.parse(box.dataset.frames);
    const image = box.querySelector("img"), alt = image.alt;
    const wrong = document.createElement("p");
    wrong.className = "frames-wrong";
    wrong.setAttribute("role", "alert");
    const places = controls.map((control) => control.start);
    const show = () => {
      const index = places.reduce((sum, place, i) => sum * controls[i].values.length + place, 0);
      const said = controls.map((c, i) => `${c.label} = ${c.values[places[i]]}`).join(", ");
      if (frames[index].src) image.src = frames[index].src;
      image.alt = `${alt} (${said})`;
      wrong.textContent = frames[index].wrong
        ? `${frames[index].wrong} The figure is the last one that worked.` : "";
    };
    const panel = document.createElement("div");
    panel.className = "frames-controls";
    controls.forEach((control, i) => {
      const label = document.createElement("label");
      const range = document.createElement("input");
      const value = document.createElement("output");
      Object.assign(range, { type: "range", min: 0, max: control.values.length - 1, step: 1 });
      range.value = control.start;
      value.textContent = control.values[control.start];
      range.addEventListener("input", () => {
        places[i] = Number(range.value);
        value.textContent = control.values[places[i]];
        show();
      });
      label.append(control.label, range, value);
      panel.append(label);
    });
    box.prepend(panel);
    box.append(wrong);
  }
});
