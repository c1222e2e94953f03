// Makes elements. Text stays text.

/** An element with attributes and children. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

function drawn(svg) {
  const template = el('template')
  template.innerHTML = svg
  return template.content
}

/** The circle with a tick, drawn by the style sheet's colours. */
export const mark = () =>
  drawn(
    '<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="m7.5 12.5 3 3 6-6.5"/></svg>',
  )

/** The triangle of a warning. */
export const warning = () =>
  drawn(
    '<svg class="warning" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 3.2 22 20.5H2z"/><path class="sign" d="M12 9.5v5.2m0 2.3v.6"/></svg>',
  )

/** The time of day, to be read. */
export const clock = (time) => new Date(time).toLocaleTimeString('en-GB')
