internal import CPSKC
import FixedMemory

/// An element of an XML document, parsed by libxml2. Comments and processing instructions are left out.
final class XMLElement {
  /// Without the prefix of the namespace.
  let name: String
  let namespace: String
  private(set) var attributes: [(name: String, value: String)] = []
  private(set) var children: [XMLElement] = []
  private var content: SecretBuffer

  private init(name: String, namespace: String, content: consuming SecretBuffer) {
    self.name = name
    self.namespace = namespace
    self.content = content
  }

  /// The only child with one of the names; nil if there is none.
  func child(_ names: String...) throws(FormatProblem) -> XMLElement? {
    let found = children.filter { names.contains($0.name) }
    guard found.count < 2 else { throw FormatProblem("\(found[0].name) is repeated") }
    return found.first
  }

  /// The value of an attribute. Names of attributes are compared without case, because drafts of RFC 6030 differ.
  func attribute(_ names: String...) -> String? {
    attributes.first { names.contains($0.name.lowercased()) }?.value
  }

  /// Without surrounding blanks; nil if empty or not one printable line.
  var text: String? {
    let text = content.withBytes { bytes in bytes.trimmed.text(0..<bytes.trimmed.count) }
    return text.flatMap { $0.isOneLine(upTo: 256) ? $0 : nil }
  }

  /// Lends the text, which may be secret, without surrounding blanks.
  func withText<Result: ~Copyable>(_ body: (Span<UInt8>) throws -> Result) rethrows -> Result {
    try content.withBytes { try body($0.trimmed) }
  }

  /// Returns false if memory is short.
  private func append(_ text: Span<UInt8>) -> Bool {
    if content.capacity - content.count < text.count {
      guard var larger = SecretBuffer(capacity: 2 * (content.count + text.count)) else { return false }
      content.withBytes { _ = larger.append($0) }
      content = larger
    }
    return content.append(text)
  }
}

extension XMLElement {
  /// Returns the root element of a document.
  ///
  /// - Throws: ``MissingLibrary``, or a ``FormatProblem``.
  static func root(parsing text: Span<UInt8>) throws -> XMLElement {
    // libxml2 would take the text for UTF-16.
    guard text.firstIndex(of: 0) == nil else { throw FormatProblem("it contains a NUL byte") }
    guard !text.hasLongElement else { throw FormatProblem("one of its elements is too long") }
    // Otherwise libxml2 decodes the text as the document declares, for example from Latin-1.
    let isUTF8 = (try? UTF8Span(validating: text)) != nil
    let builder = Builder()
    var line: Int32 = 0
    // SAFETY: the functions of the handler get the builder, which outlives the call; libxml2 reads `count` bytes.
    let result = unsafe withUnsafePointer(to: builder.handler) { handler in
      unsafe text.withUnsafeBytes { bytes in
        unsafe cpskc_parse(
          bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, isUTF8 ? 1 : 0, handler, &line)
      }
    }
    withExtendedLifetime(builder) {}
    switch result {
    case CPSKC_PARSED where builder.elements > Builder.mostElements: throw FormatProblem("it has too many elements")
    case CPSKC_PARSED where builder.hasMemory: break
    case CPSKC_NO_LIBRARY: throw MissingLibrary.xml
    case CPSKC_NOT_WELL_FORMED: throw FormatProblem(line: line > 0 ? Int(line) : nil, "it is not well-formed XML")
    case CPSKC_HAS_DOCTYPE: throw FormatProblem("it contains a DOCTYPE, which PSKC files do not need")
    case CPSKC_TOO_DEEP: throw FormatProblem("its elements are nested too deeply")
    default: throw FormatProblem.outOfMemory
    }
    guard let root = builder.root else { throw FormatProblem("it contains no element") }
    return root
  }

  /// Builds the tree from the events of the parser.
  private final class Builder {
    private(set) var root: XMLElement?
    private(set) var hasMemory = true
    private(set) var elements = 0
    /// Of 100,000 keys. An element needs 300 bytes of memory, but only four in the file.
    static let mostElements = 2_000_000
    private var open: [XMLElement] = []

    func open(_ name: String, _ namespace: String) {
      elements += 1
      guard hasMemory, elements <= Self.mostElements, let content = SecretBuffer(capacity: 24) else {
        return hasMemory = false
      }
      let element = XMLElement(name: name, namespace: namespace, content: content)
      open.last?.children.append(element)
      if root == nil { root = element }
      open.append(element)
    }

    func add(_ attribute: String, _ value: String) { open.last?.attributes.append((attribute, value)) }

    func add(_ text: Span<UInt8>) {
      guard hasMemory, let element = open.last else { return }
      hasMemory = element.append(text)
    }

    func close() { _ = open.popLast() }

    // SAFETY: libxml2 calls the functions with the builder, NUL-terminated names and texts of the given length, while
    // root(parsing:) keeps the builder alive.
    var handler: cpskc_handler {
      unsafe cpskc_handler(
        context: Unmanaged.passUnretained(self).toOpaque(),
        open: { unsafe Builder.at($0)?.open(Builder.string($1), Builder.string($2)) },
        attribute: {
          unsafe Builder.at($0)?.add(Builder.string($1), String(decoding: Builder.bytes($2, $3), as: UTF8.self))
        },
        text: { unsafe Builder.at($0)?.add(Builder.bytes($1, $2).span) },
        close: { unsafe Builder.at($0)?.close() })
    }

    private static func at(_ context: UnsafeMutableRawPointer?) -> Builder? {
      // SAFETY: the context is a builder.
      unsafe context.map { unsafe Unmanaged<Builder>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func string(_ text: UnsafePointer<CChar>?) -> String {
      // SAFETY: the text is NUL-terminated.
      unsafe text.map { unsafe String(cString: $0) } ?? ""
    }

    private static func bytes(_ text: UnsafePointer<CChar>?, _ size: Int) -> UnsafeBufferPointer<UInt8> {
      // SAFETY: the text has this size.
      unsafe UnsafeRawBufferPointer(start: text, count: size).bindMemory(to: UInt8.self)
    }
  }
}

extension Span where Element == UInt8 {
  /// Whether a tag and the text after it are longer than 16 KB. In libxml2 before 2.12, the time for a tag grows with the
  /// square of its attributes. Attributes cannot contain `<`.
  fileprivate var hasLongElement: Bool {
    var start = firstIndex(of: UInt8(ascii: "<"))
    while let tag = start {
      start = firstIndex(of: UInt8(ascii: "<"), from: tag + 1)
      let end = start ?? count
      let isTag = tag + 1 < end && self[tag + 1] != UInt8(ascii: "!") && self[tag + 1] != UInt8(ascii: "?")
      if isTag, end - tag > 1 << 14 { return true }
    }
    return false
  }

  /// Without blanks and line ends at both ends.
  var trimmed: Span<UInt8> {
    @_lifetime(copy self)
    get {
      var (start, end) = (0, count)
      while start < end, self[start].isXMLBlank { start += 1 }
      while end > start, self[end - 1].isXMLBlank { end -= 1 }
      return slice(from: start, to: end)
    }
  }
}

extension UInt8 {
  /// XML 1.0 section 2.3.
  var isXMLBlank: Bool { self == 0x20 || self == 0x09 || self == 0x0a || self == 0x0d }
}

extension MissingLibrary {
  static let xml = MissingLibrary(
    file: "libxml2.so.2", use: "reads PSKC files", name: "libxml2", debianPackage: "libxml2")
}
