internal import CSystem
public import FixedMemory

/// The hash of a backup code: yescrypt, `$y$COST$SALT$HASH` (crypt(5)).
public enum BackupCodeHash {
  /// In bytes.
  public static var lengths: ClosedRange<Int> { 16...128 }

  /// Whether the format is right.
  public static func isValid(_ hash: Span<UInt8>) -> Bool { settingLength(of: hash) > 0 }

  /// Whether the text is a hash with this setting.
  @inline(__always)
  static func isValid(_ hash: Span<UInt8>, setting: Span<UInt8>) -> Bool {
    lengths.contains(hash.count) && hash.slice(from: 0, to: setting.count).isEqual(to: setting)
      && setting.count < hash.count && hash.slice(from: setting.count).isHashText
  }

  /// The setting ends with the last `$`. Returns 0 if the text is not a hash.
  static func settingLength(of hash: Span<UInt8>) -> Int {
    guard lengths.contains(hash.count), hash.starts(with: "$y$"),
      let cost = hash.firstIndex(of: UInt8(ascii: "$"), from: 3),
      let salt = hash.firstIndex(of: UInt8(ascii: "$"), from: cost &+ 1)
    else { return 0 }
    let isHash =
      isModest(hash.slice(from: 3, to: cost)) && hash.slice(from: cost &+ 1, to: salt).isHashText
      && salt &+ 1 < hash.count && hash.slice(from: salt &+ 1).isHashText
    return isHash ? salt &+ 1 : 0
  }

  /// Whether a cost (crypt(5)) needs at most four times the usual memory. The user owns the file, but root's process
  /// allocates the memory.
  private static func isModest(_ cost: Span<UInt8>) -> Bool {
    guard cost.count == 3, cost.byte(at: 0) == UInt8(ascii: "j"), cost.byte(at: 2) == UInt8(ascii: "T") else {
      return false
    }
    switch cost.byte(at: 1) ?? 0 {
    case UInt8(ascii: "5")...UInt8(ascii: "9"), UInt8(ascii: "A"), UInt8(ascii: "B"): return true
    default: return false
    }
  }

  /// A setting of the usual cost for the replies of unknown users, which must take as long as those of enrolled users.
  public static var decoySetting: Literal { "$y$j9T$xc0Fz1bFQ5G1q8pVv3mX5.$" }

  /// Hashes a backup code, in upper case without the dash (crypt(3)), and appends the hash. Takes about 25 ms and 16
  /// MiB, to slow down guessing.
  ///
  /// - Returns: False if libcrypt is missing, runs out of memory, or rejects the setting.
  public static func make(_ code: Span<UInt8>, setting: Span<UInt8>, into hash: inout SecretBuffer) -> Bool {
    guard var phrase = SecretBuffer(capacity: code.count &+ 1),
      var salt = SecretBuffer(capacity: setting.count &+ 1),
      phrase.append(code), phrase.append(0), salt.append(setting), salt.append(0)
    else { return false }
    // SAFETY: phrase and salt are NUL-terminated, and csystem_crypt() gets the size of the memory.
    let length = unsafe hash.fill { free in
      guard let start = free.baseAddress else { return -1 }
      return unsafe phrase.withMemory { phrase in
        unsafe salt.withMemory { salt in
          let text = unsafe start.assumingMemoryBound(to: CChar.self)
          let status = unsafe csystem_crypt(
            phrase.assumingMemoryBound(to: CChar.self), salt.assumingMemoryBound(to: CChar.self), text, free.count)
          return status == 0 ? unsafe strlen(text) : -1
        }
      }
    }
    return length > 0
  }
}

// An extension, because the compiler drops `@_optimize` from a static function that it specializes.
extension Span where Element == UInt8 {
  /// Whether all bytes are in crypt(5)'s alphabet, `./0-9A-Za-z`.
  @_optimize(speed)
  fileprivate var isHashText: Bool {
    guard count > 16 else { return isHashText(from: 0, count: count) }
    var start = 0
    while start < count &- 16 {
      guard isHashText(from: start, count: 16) else { return false }
      start &+= 16
    }
    // Checks some bytes twice, because a block is faster than single bytes.
    return isHashText(from: count &- 16, count: 16)
  }

  @inline(__always)
  private func isHashText(from start: Int, count: Int) -> Bool {
    // Without a branch in the loop, the compiler can check many bytes at once.
    var strays: UInt8 = 0
    var indices = Counter(to: count)
    while let index = indices.next() {
      // SAFETY: the caller's block is in bounds.
      let byte = unsafe self[unchecked: start &+ index]
      // In ASCII, `.`, `/` and the digits are adjacent; bit 5 is a letter's case.
      let isDigit = byte &- UInt8(ascii: ".") < 12
      let isLetter = (byte | 0x20) &- UInt8(ascii: "a") < 26
      strays |= (isDigit ? 0 : 1) & (isLetter ? 0 : 1)
    }
    return strays == 0
  }
}
