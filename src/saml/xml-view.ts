// Looks at an XML document that node-saml has parsed and verified: by namespace, and only where SAML has it. Parses
// nothing.

/** What is asked of a node of the DOM. */
export interface XmlNode {
  readonly nodeType: number
  readonly localName?: string | null
  readonly namespaceURI?: string | null
  readonly textContent?: string | null
  readonly childNodes: ArrayLike<XmlNode> | null
  getAttribute?(name: string): string | null
}

export const PROTOCOL = 'urn:oasis:names:tc:SAML:2.0:protocol'
export const ASSERTION = 'urn:oasis:names:tc:SAML:2.0:assertion'

const ELEMENT_NODE = 1
/** Text, CDATA, and a comment, which neither the signature nor `textContent` has. */
const OF_TEXT: readonly number[] = [3, 4, 8]

export function isElement(node: XmlNode, namespace: string, name: string): boolean {
  return node.nodeType === ELEMENT_NODE && node.namespaceURI === namespace && node.localName === name
}

/** Its own children of this name, none that is deeper. */
export function childrenOf(node: XmlNode, namespace: string, name: string): readonly XmlNode[] {
  return Array.from(node.childNodes ?? []).filter((child) => isElement(child, namespace, name))
}

/** `undefined` where it is absent or empty. */
export function attributeOf(node: XmlNode | undefined, name: string): string | undefined {
  return node?.getAttribute?.(name) || undefined
}

/**
 * The whole text of an element, comments left out, as the signature has it. `undefined` where there is none, or where
 * an element or an instruction stands in it: what is read around these, nobody signed as text.
 */
export function textOf(node: XmlNode | undefined): string | undefined {
  if (node === undefined) return undefined
  if (!Array.from(node.childNodes ?? []).every(({ nodeType }) => OF_TEXT.includes(nodeType))) return undefined
  return node.textContent || undefined
}
