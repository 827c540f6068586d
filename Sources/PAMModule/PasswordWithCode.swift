internal import Enrollment
internal import FixedMemory
internal import OneTimePassword
internal import Verification

/// A password with a code at its end, as clients with a single field send it.
enum PasswordWithCode {
  /// The longest text that is looked at, in bytes: PAM_MAX_RESP_SIZE of Linux-PAM.
  static var maximumLength: Int { 512 }

  /// How long the code at the end may be, one reading after the other.
  struct Readings {
    private var lengths = InlineArray<4, Int>(repeating: 0)
    private(set) var count = 0

    subscript(index: Int) -> Int { index >= 0 && index < count ? unsafe lengths[unchecked: index] : 0 }

    mutating func append(_ length: Int) {
      guard count < lengths.count, length > 0 else { return }
      // SAFETY: the count was compared with the length of the array.
      unsafe lengths[unchecked: count] = length
      count &+= 1
    }
  }

  /// The readings of a text for an enrolment: digits of the lengths that its devices have, then a backup code.
  static func readings(
    of text: Span<UInt8>, for credential: borrowing Credential, acceptsBackupCodes: Bool
  ) -> Readings {
    var readings = Readings()
    let digits = digitsAtEnd(of: text)
    var hasSix = false
    var hasEight = false
    var indices = Counter(to: credential.deviceCount)
    while let index = indices.next() {
      switch credential.device(at: index)?.digits {
      case .six: hasSix = true
      case .eight: hasEight = true
      case nil: break
      }
    }
    if hasEight, digits >= 8 { readings.append(8) }
    if hasSix, digits >= 6 { readings.append(6) }
    guard acceptsBackupCodes else { return readings }
    readings.append(backupCodeLength(atEndOf: text))
    if credential.hasScratchCodes, !hasEight, digits >= 8 { readings.append(8) }
    return readings
  }

  /// The reading of a text where nothing is known of an enrolment, or no reading was right.
  static func usualReading(of text: Span<UInt8>) -> Int {
    digitsAtEnd(of: text) >= 6 ? 6 : backupCodeLength(atEndOf: text)
  }

  private static func digitsAtEnd(of text: Span<UInt8>) -> Int {
    var count = 0
    while count < 8, text.byte(at: text.count &- 1 &- count)?.decimalDigit != nil { count &+= 1 }
    return count
  }

  /// The length of a backup code at the end of a text, with its dash where there is one; 0 for none.
  private static func backupCodeLength(atEndOf text: Span<UInt8>) -> Int {
    var length = Reply.backupCodeLength
    if text.byte(at: text.count &- 6) == UInt8(ascii: "-") { length &+= 1 }
    guard text.count >= length else { return 0 }
    do throws(Reply.Problem) {
      let reply = try Reply(text.slice(from: text.count &- length))
      return reply.isBackupCode ? length : 0
    } catch {
      return 0
    }
  }
}
