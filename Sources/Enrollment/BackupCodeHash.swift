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
  static func isText(_ bytes: Span<UInt8>) -> Bool {
    guard bytes.count < vectorLength else { return unsafe bytes.withUnsafeBytes { unsafe isText($0) } }
    var indices = Counter(to: bytes.count)
    while let index = indices.next() {
      guard isEverywhere(areText(SIMD16(repeating: bytes.byte(at: index) ?? 0))) else { return false }
    }
    return true
  }

  /// How many bytes are looked at in one go: a credential has a kilobyte of hashes, and every login reads it.
  private static var vectorLength: Int { 16 }

  // SAFETY: the caller has as many bytes as a vector, or more. The last ones may overlap.
  @inline(__always)
  private static func isText(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress else { return true }
    let last = bytes.count &- vectorLength
    var found = unsafe areText((base + last).loadUnaligned(as: SIMD16<UInt8>.self))
    var offset = 0
    while offset < last {
      found = unsafe found .& areText((base + offset).loadUnaligned(as: SIMD16<UInt8>.self))
      offset &+= vectorLength
    }
    return isEverywhere(found)
  }

  // The operators of vectors that the compiler turns into one instruction each: others become a loop.
  @inline(__always)
  private static func areText(_ bytes: SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>> {
    let letter = (bytes | SIMD16(repeating: 0x20)) &- SIMD16(repeating: UInt8(ascii: "a"))
    let digit = bytes &- SIMD16(repeating: UInt8(ascii: "."))
    return (letter .< SIMD16(repeating: 26)) .| (digit .< SIMD16(repeating: 12))
  }

  @inline(__always)
  private static func isEverywhere(_ mask: SIMDMask<SIMD16<Int8>>) -> Bool {
    // SAFETY: a mask is a vector of sixteen bytes, each of which is all ones or all zeros.
    let halves = unsafe unsafeBitCast(mask, to: SIMD2<UInt64>.self)
    return halves[0] & halves[1] == UInt64.max
  }

  /// How many of the lines behind one are as long as it, begin with as many of the same bytes, and have nothing but
  /// text (``isText(_:)``) behind them.
  ///
  /// - Parameters:
  ///   - line: Where the line stands, without its line feed.
  ///   - same: How many bytes at the beginning are the same.
  ///   - text: All lines.
  /// - Returns: The number of such lines in a row, each with a line feed.
  static func countOfLines(behind line: ByteRange, alikeFor same: Int, in text: Span<UInt8>) -> Int {
    let length = line.end &- line.start
    guard same >= 0, length &- same >= vectorLength, line.end < text.count else { return 0 }
    return unsafe text.withUnsafeBytes { text in
      guard let base = text.baseAddress else { return 0 }
      var (alike, end) = (0, line.end &+ 1)
      // SAFETY: a line and its line feed lie within the text before they are looked at, and so does the first.
      while text.count &- end > length {
        let next = unsafe base + end
        guard unsafe next.load(fromByteOffset: length, as: UInt8.self) == UInt8(ascii: "\n"),
          unsafe memcmp(base + line.start, next, same) == 0
        else { break }
        alike &+= 1
        end &+= length &+ 1
      }
      // In a loop of its own, without a call, what is compared with stays in the registers.
      var (count, start) = (0, line.end &+ 1)
      while count < alike {
        guard unsafe isText(UnsafeRawBufferPointer(start: base + (start &+ same), count: length &- same)) else { break }
        count &+= 1
        start &+= length &+ 1
      }
      return count
    }
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
