internal import CSystem
public import FixedMemory

/// The hash of a backup code: yescrypt, as crypt(5) writes it, `$y$COST$SALT$HASH`.
public enum BackupCodeHash {
  /// How long a hash may be, in bytes.
  public static var lengths: ClosedRange<Int> { 16...128 }

  /// Whether the text has the form of a hash.
  public static func isValid(_ hash: Span<UInt8>) -> Bool { settingLength(of: hash) > 0 }

  /// The length of the setting of a hash, up to its last `$`; 0 where the text does not have the form of a hash.
  static func settingLength(of hash: Span<UInt8>) -> Int {
    guard lengths.contains(hash.count), hash.starts(with: "$y$"),
      let cost = hash.firstIndex(of: UInt8(ascii: "$"), from: 3),
      let salt = hash.firstIndex(of: UInt8(ascii: "$"), from: cost &+ 1)
    else { return 0 }
    let isHash =
      isModest(hash.slice(from: 3, to: cost)) && isText(hash.slice(from: cost &+ 1, to: salt))
      && salt &+ 1 < hash.count && isText(hash.slice(from: salt &+ 1))
    return isHash ? salt &+ 1 : 0
  }

  /// Whether a cost, as crypt(5) writes it, takes no more than four times the usual memory. The file is the user's,
  /// but it is root's memory in which the hash is made when somebody logs in.
  private static func isModest(_ cost: Span<UInt8>) -> Bool {
    guard cost.count == 3, cost.byte(at: 0) == UInt8(ascii: "j"), cost.byte(at: 2) == UInt8(ascii: "T") else {
      return false
    }
    switch cost.byte(at: 1) ?? 0 {
    case UInt8(ascii: "5")...UInt8(ascii: "9"), UInt8(ascii: "A"), UInt8(ascii: "B"): return true
    default: return false
    }
  }

  /// Whether there are only characters in which crypt(5) writes numbers: `./0-9A-Za-z`.
  @_optimize(speed)
  static func isText(_ bytes: Span<UInt8>) -> Bool {
    // Eight bytes at once: a credential has a kilobyte of hashes, and every login reads it.
    let width = 8
    guard bytes.count >= width else {
      var indices = Counter(to: bytes.count)
      while let index = indices.next() {
        guard others(in: UInt64(bytes.byte(at: index) ?? 0) &* everyByte) & highBits == 0 else { return false }
      }
      return true
    }
    return unsafe bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return true }
      let last = bytes.count &- width
      // SAFETY: every offset is at most `last`, so eight bytes are there. The last ones may overlap.
      var found = unsafe others(in: (base + last).loadUnaligned(as: UInt64.self))
      var offset = 0
      while offset < last {
        found |= unsafe others(in: (base + offset).loadUnaligned(as: UInt64.self))
        offset &+= width
      }
      return found & highBits == 0
    }
  }

  /// Multiplied with a byte, eight of it.
  private static var everyByte: UInt64 { 0x0101_0101_0101_0101 }

  /// The highest bit of eight bytes.
  private static var highBits: UInt64 { 0x80 &* everyByte }

  /// Sets the highest bit of each byte that is none of the characters. The other bits mean nothing.
  @inline(__always)
  private static func others(in bytes: UInt64) -> UInt64 {
    let letters = areBetween(UInt8(ascii: "a"), UInt8(ascii: "z"), bytes | 0x20 &* everyByte)
    let digits = areBetween(UInt8(ascii: "."), UInt8(ascii: "9"), bytes)
    // A byte that is not ASCII lies in neither range. What it carries into the next does not matter: it is found itself.
    return ~(letters | digits)
  }

  /// Sets the highest bit of each byte that lies in a range of ASCII, and of none that has it set before.
  @inline(__always)
  private static func areBetween(_ first: UInt8, _ last: UInt8, _ bytes: UInt64) -> UInt64 {
    // The sums of ASCII stay below 256 and carry nothing from one byte into the next.
    let notBefore = bytes &+ UInt64(0x80 &- first) &* everyByte
    let behind = bytes &+ UInt64(0x7f &- last) &* everyByte
    return notBefore & ~behind
  }

  /// A setting of the usual cost with a salt of its own, for users who have no backup codes: the reply of
  /// somebody who does not exist is to take as long.
  public static var decoySetting: Literal { "$y$j9T$xc0Fz1bFQ5G1q8pVv3mX5.$" }

  /// Hashes a backup code with crypt(3). Takes about 25 ms and 16 MiB, on purpose: a stolen file is not to be
  /// turned back into codes.
  ///
  /// - Parameters:
  ///   - code: The normal form of the code: upper case, no dash.
  ///   - setting: Method, cost and salt (crypt(5)).
  ///   - hash: Where the hash is added.
  /// - Returns: False where libcrypt is missing, is short of memory, or refuses the setting.
  public static func make(_ code: Span<UInt8>, setting: Span<UInt8>, into hash: inout SecretBuffer) -> Bool {
    guard var phrase = SecretBuffer(capacity: code.count &+ 1),
      var salt = SecretBuffer(capacity: setting.count &+ 1),
      phrase.append(code), phrase.append(0), salt.append(setting), salt.append(0)
    else { return false }
    let length = unsafe hash.fill { room in
      guard let start = room.baseAddress else { return -1 }
      return unsafe phrase.withMemory { phrase in
        unsafe salt.withMemory { salt in
          let text = unsafe start.assumingMemoryBound(to: CChar.self)
          let status = unsafe csystem_crypt(
            phrase.assumingMemoryBound(to: CChar.self), salt.assumingMemoryBound(to: CChar.self), text, room.count)
          return status == 0 ? unsafe strlen(text) : -1
        }
      }
    }
    return length > 0
  }
}
