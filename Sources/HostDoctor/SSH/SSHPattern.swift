import Glibc

/// Pattern lists (PATTERNS in ssh_config(5)).
enum SSHPattern {
  enum Outcome {
    case match
    case negated
    case none
  }

  private static let maximumExamples = 64

  static func matches(_ text: String, list: String) -> Outcome {
    var outcome = Outcome.none
    for element in elements(of: list) where matches(text, element.pattern) {
      if element.isNegated { return .negated }
      outcome = .match
    }
    return outcome
  }

  static func matches(groups: [String], list: String) -> Bool {
    let outcomes = groups.map { matches($0, list: list) }
    return outcomes.contains(.match) && !outcomes.contains(.negated)
  }

  static func matches(address text: String, list: String) -> Bool {
    guard let address = bytes(ofAddress: text) else { return false }
    var isMatch = false
    for element in elements(of: list) {
      let applies =
        if case .network(let network, let length) = network(element.pattern) {
          contains(network, length, address)
        } else {
          matches(text, element.pattern)
        }
      guard applies else { continue }
      if element.isNegated { return false }
      isMatch = true
    }
    return isMatch
  }

  static func isValid(addresses list: String) -> Bool {
    elements(of: list).allSatisfy { element in
      if case .invalid = network(element.pattern) { return false }
      return !element.pattern.isEmpty
    }
  }

  /// Texts that may match the list, the most common first.
  static func examples(of list: String) -> [String] {
    elements(of: list).filter { !$0.isNegated }.prefix(maximumExamples).flatMap { element -> [String] in
      if case .network(let network, let length) = network(element.pattern) { return examples(network, length) }
      return ["1", "", "1.1", "1.1.1", ":1"].map { text in
        element.pattern.split(separator: "*", omittingEmptySubsequences: false).joined(separator: text)
          .replacing("?", with: "1")
      }
    }
  }

  private static func elements(of list: String) -> [(pattern: String, isNegated: Bool)] {
    list.split(separator: ",", omittingEmptySubsequences: false).map { element in
      element.hasPrefix("!") ? (String(element.dropFirst()), true) : (String(element), false)
    }
  }

  /// `*` matches any text, `?` any byte.
  static func matches(_ text: String, _ pattern: String) -> Bool {
    let (text, pattern) = (Array(text.utf8), Array(pattern.utf8))
    var (at, next) = (0, 0)
    var star: (pattern: Int, text: Int)?
    while at < text.count {
      if next < pattern.count, pattern[next] == UInt8(ascii: "*") {
        star = (next, at)
        next += 1
      } else if next < pattern.count, pattern[next] == UInt8(ascii: "?") || pattern[next] == text[at] {
        (at, next) = (at + 1, next + 1)
      } else if let last = star {
        star = (last.pattern, last.text + 1)
        (at, next) = (last.text + 1, last.pattern + 1)
      } else {
        return false
      }
    }
    return pattern[next...].allSatisfy { $0 == UInt8(ascii: "*") }
  }

  // MARK: Networks

  private enum Network {
    case network([UInt8], Int)
    /// The length is out of range, or the address has bits set beyond it.
    case invalid
    case pattern
  }

  private static func network(_ text: String) -> Network {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let address = bytes(ofAddress: parts[0]) else { return .pattern }
    guard parts.count == 2 else { return .network(address, address.count * 8) }
    guard let length = UInt32(parts[1]) else { return .pattern }
    guard length <= address.count * 8 else { return .invalid }
    let isExact = address == address.indices.map { address[$0] & mask(Int(length), at: $0) }
    return isExact ? .network(address, Int(length)) : .invalid
  }

  private static func contains(_ network: [UInt8], _ length: Int, _ address: [UInt8]) -> Bool {
    network.count == address.count
      && network.indices.allSatisfy { network[$0] == address[$0] & mask(length, at: $0) }
  }

  private static func mask(_ length: Int, at index: Int) -> UInt8 {
    let bits = min(max(length - index * 8, 0), 8)
    return bits == 0 ? 0 : 0xFF << UInt8(8 - bits)
  }

  /// The second, the second to last and the first address.
  private static func examples(_ network: [UInt8], _ length: Int) -> [String] {
    let last = network.indices.map { network[$0] | ~mask(length, at: $0) }
    let count = network.count
    guard length < count * 8 - 1 else { return [network, last].compactMap(text) }
    var (second, first) = (network, last)
    second[count - 1] |= 1
    first[count - 1] &= 0xFE
    return [second, first, network].compactMap(text)
  }

  private static func bytes(ofAddress text: String) -> [UInt8]? {
    for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
      var bytes = [UInt8](repeating: 0, count: count)
      // SAFETY: the string is NUL-terminated; the array has the size of the family's address.
      if unsafe inet_pton(family, text, &bytes) == 1 { return bytes }
    }
    return nil
  }

  private static func text(_ address: [UInt8]) -> String? {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    // SAFETY: the address has the size of its family; inet_ntop(3) gets the size of the array.
    let made = unsafe inet_ntop(address.count == 4 ? AF_INET : AF_INET6, address, &text, socklen_t(text.count))
    return unsafe made.map { unsafe String(cString: $0) }
  }
}
