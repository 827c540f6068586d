internal import CSystem
public import FixedMemory

/// The hash of a backup code: yescrypt, as crypt(5) writes it, `$y$COST$SALT$HASH`.
public enum BackupCodeHash {
  /// How long a hash may be, in bytes.
  public static var lengths: ClosedRange<Int> { 16...128 }

  /// Whether the text has the form of a hash.
  public static func isValid(_ hash: Span<UInt8>) -> Bool {
    guard lengths.contains(hash.count), hash.starts(with: "$y$") else { return false }
    var parts = 0
    var indices = Counter(to: hash.count)
    while let index = indices.next() {
      switch hash.byte(at: index) ?? 0 {
      case UInt8(ascii: "$"): parts &+= 1
      case UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"):
        break
      default: return false
      }
    }
    return parts == 4 && hash.byte(at: hash.count &- 1) != UInt8(ascii: "$")
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
