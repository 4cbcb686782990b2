/**
 * XML as a small tree with namespaces resolved and every place known. Limits come first: what is read here was
 * written by whoever may edit a domain.
 */
import { SaxesParser } from "saxes";
import { LibvirtError } from "../model/errors.ts";
import { clip } from "../model/units.ts";

/** libvirt's domains have some 10 kB; its own RPC refuses strings above 4 MiB (VIR_NET_MESSAGE_STRING_MAX). */
export const MAX_XML_BYTES = 1 << 20;
/** libvirt's domain schema nests to about 12; its own limit is 256 (VIR_XML_MAX_DEPTH in later versions). */
const MAX_DEPTH = 64;
/** Twice what 128 NICs and 500 disks take; an XML of tiny elements is given up after some 150 ms. */
const MAX_ELEMENTS = 20_000;

export interface XmlAttribute {
  /** "" for an attribute without prefix. */
  readonly uri: string;
  readonly local: string;
  readonly value: string;
  /** Where its name begins, in UTF-16 units from the start of the text. */
  readonly offset: number;
}

export interface XmlElement {
  /** "" for none; null where its prefix is bound to nothing. */
  readonly uri: string | null;
  readonly prefix: string;
  readonly local: string;
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlElement[];
  /** Its own character data, not that of its children. */
  readonly text: string;
  /** Where its `<` stands. */
  readonly offset: number;
}

/** 1-based, as editors count. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Parses an XML document without DTD. Prefixes that are bound to nothing are tolerated, as libxml2 does: such an
 * element has no namespace and so is nobody's.
 * @param object what errors are about: `domain web1`
 * @throws LibvirtError (never) for a text that is too large, too deep, has a DOCTYPE or isn't well-formed
 */
export function parseXml(xml: string, object: string): XmlElement {
  if (xml.length > MAX_XML_BYTES || Buffer.byteLength(xml) > MAX_XML_BYTES) {
    throw refusal(object, `its XML has more than ${MAX_XML_BYTES} bytes; it is not read`);
  }
  return new TreeBuilder(xml, object).build();
}

/** Line and column of an offset. Costs a walk over the text before it, so only asked for when something is wrong. */
export function placeOf(xml: string, offset: number): Place {
  let line = 1;
  let lineStart = 0;
  for (const match of xml.slice(0, offset).matchAll(/\r\n|\n|\r/g)) {
    line++;
    lineStart = match.index + match[0].length;
  }
  return { line, column: offset - lineStart + 1 };
}

/** The first child of that name, in no namespace as libvirt's own elements are unless one is given. */
export function childOf(element: XmlElement, local: string, uri = ""): XmlElement | undefined {
  return element.children.find((child) => child.local === local && child.uri === uri);
}

/** The value of an attribute without prefix. */
export function attributeOf(element: XmlElement | undefined, local: string): string | undefined {
  return element?.attributes.find((attribute) => attribute.local === local && attribute.uri === "")
    ?.value;
}

interface OpenElement {
  uri: string | null;
  prefix: string;
  local: string;
  attributes: XmlAttribute[];
  children: XmlElement[];
  text: string;
  offset: number;
}

class TreeBuilder {
  readonly #xml: string;
  readonly #object: string;
  readonly #parser = new SaxesParser({ xmlns: true, position: true });
  readonly #open: OpenElement[] = [];
  #root: XmlElement | null = null;
  #elements = 0;
  #elementOffset = 0;
  #attributeOffsets = new Map<string, number>();

  constructor(xml: string, object: string) {
    this.#xml = xml;
    this.#object = object;
  }

  build(): XmlElement {
    this.#listen();
    // One write: positions are then offsets into the text.
    this.#parser.write(this.#xml).close();
    if (this.#root === null) throw refusal(this.#object, "its XML is empty");
    return this.#root;
  }

  #listen(): void {
    const parser = this.#parser;
    parser.on("error", (error) => {
      if (error.message.includes("unbound namespace prefix")) return;
      throw refusal(this.#object, `its XML is not well-formed: ${clip(error.message, 120)}`);
    });
    parser.on("doctype", () => {
      throw refusal(
        this.#object,
        "its XML has a DOCTYPE, which libvirt never writes; it is not read",
      );
    });
    parser.on("opentagstart", () => {
      this.#elementOffset = Math.max(0, this.#xml.lastIndexOf("<", parser.position - 1));
      this.#attributeOffsets = new Map();
    });
    parser.on("attribute", (attribute) => {
      this.#attributeOffsets.set(attribute.name, this.#attributeOffset(attribute.name));
    });
    parser.on("opentag", (tag) => {
      if (this.#open.length >= MAX_DEPTH) {
        throw refusal(this.#object, `its XML is nested deeper than ${MAX_DEPTH} elements`);
      }
      if (++this.#elements > MAX_ELEMENTS) {
        throw refusal(this.#object, `its XML has more than ${MAX_ELEMENTS} elements`);
      }
      const bound = tag.prefix === "" || parser.resolve(tag.prefix) !== undefined;
      this.#open.push({
        uri: bound ? tag.uri : null,
        prefix: tag.prefix,
        local: tag.local,
        attributes: Object.values(tag.attributes).map((attribute) => ({
          uri: attribute.uri,
          local: attribute.local,
          value: attribute.value,
          offset: this.#attributeOffsets.get(attribute.name) ?? this.#elementOffset,
        })),
        children: [],
        text: "",
        offset: this.#elementOffset,
      });
    });
    parser.on("text", (text) => this.#addText(text));
    parser.on("cdata", (text) => this.#addText(text));
    parser.on("closetag", () => {
      const element = this.#open.pop();
      if (element === undefined) return;
      const parent = this.#open.at(-1);
      if (parent === undefined) this.#root = element;
      else parent.children.push(element);
    });
  }

  #addText(text: string): void {
    const element = this.#open.at(-1);
    if (element !== undefined) element.text += text;
  }

  /** saxes tells of an attribute once it has read the closing quote; a value can't hold its own quote. */
  #attributeOffset(name: string): number {
    const closing = this.#parser.position - 1;
    const opening = this.#xml.lastIndexOf(this.#xml.charAt(closing), closing - 1);
    return Math.max(this.#elementOffset, this.#xml.lastIndexOf(name, opening));
  }
}

function refusal(object: string, message: string): LibvirtError {
  return new LibvirtError(object, message, "never");
}
