import FixedMemory

/// A Portable Symmetric Key Container (RFC 6030), also in the older forms of its drafts if these are not encrypted.
struct PSKCContainer {
  private let root: XMLElement
  private let encryption: PSKCEncryption

  /// - Throws: ``MissingLibrary``, or a ``FormatProblem``.
  init(parsing text: Span<UInt8>, unlock: @escaping (KeyFileLock) throws -> SecretBuffer) throws {
    root = try XMLElement.root(parsing: text)
    guard ["KeyContainer", "SecretContainer"].contains(root.name), Self.isNamespace(root.namespace) else {
      throw FormatProblem("its root element is not a KeyContainer of PSKC")
    }
    if root.name == "KeyContainer", let version = root.attribute("version") {
      guard ["1", "1.0"].contains(version) else { throw FormatProblem("its version of PSKC is not 1.0") }
    }
    if let method = try root.child("EncryptionMethod"), method.attribute("algorithm")?.uppercased() != "NONE" {
      throw FormatProblem(
        "it is encrypted as in a draft older than RFC 6030, which is not supported",
        hint: "export the file again as RFC 6030 defines it, or without encryption")
    }
    // Ignoring the signature would hide that the file was changed.
    guard try root.child("Signature") == nil else {
      throw FormatProblem(
        "it has an XML signature, which twofactor cannot check",
        hint: "check it with xmlsec1 --verify, and remove the element Signature from a copy of the file")
    }
    encryption = try PSKCEncryption(root, unlock: unlock)
  }

  /// An entry for each key; PINs are left out, because the devices check them.
  func entries(_ reading: KeyFileReading) throws -> [KeyEntry] {
    var entries: [KeyEntry] = []
    for package in root.children where ["KeyPackage", "Device"].contains(package.name) {
      for element in package.children where ["Key", "Secret"].contains(element.name) {
        let key = PSKCKey(element, of: package, encryption: encryption, reading: reading)
        guard !key.isPIN else { continue }
        do {
          entries.append(try key.entry())
        } catch let error as PSKCEncryption.KeyProblem {
          throw error.problem
        }
      }
    }
    guard !entries.isEmpty else { throw FormatProblem("it contains no key for one-time passwords") }
    if encryption.hasMismatch, !encryption.isProved { throw encryption.wrongKey }
    return entries
  }

  private static func isNamespace(_ namespace: String) -> Bool {
    namespace.isEmpty || namespace.hasPrefix("urn:ietf:params:xml:ns:keyprov:")
      || namespace.hasPrefix("http://www.openauthentication.org/OATH/")
  }

  /// Whether the text is XML with a container as root, without parsing it.
  static func isContainer(_ text: Span<UInt8>) -> Bool {
    let text = text.trimmed
    guard text.begins(with: "<") else { return false }
    // The root follows the declaration and comments.
    let head = text.slice(from: 0, to: 4096)
    return head.indices.contains { index in
      let rest = head.slice(from: index)
      return rest.starts(with: "KeyContainer") || rest.starts(with: "SecretContainer")
    }
  }
}
