public import Enrollment
internal import FixedMemory
public import HelperProtocol
public import Verification

extension CheckedCode {
  /// The result of a check, without a ticket.
  public init(_ check: borrowing CodeCheck, of reply: borrowing Reply, _ credential: borrowing Credential) {
    self.init()
    codeLength = UInt8(truncatingIfNeeded: reply.usualLength)
    period = credential.commonPeriod
    backupCodeUsedAt = check.backupCodeUsedAt
    offset = check.offset
    switch check.verdict {
    case .acceptedCode:
      method = check.isCounterBased ? .hotp : .totp
      codeLength = UInt8(truncatingIfNeeded: check.digits)
      setDeviceName(check)
    case .acceptedBackupCode:
      method = .backupCode
      codeLength = UInt8(truncatingIfNeeded: reply.backupCodeTyped)
      backupCodesLeft = UInt8(truncatingIfNeeded: check.backupCodesLeft)
    case .refused(let refusal):
      self.refusal = refusal
      setDeviceName(check)
      if case .outsideWindow(_, let index) = refusal, case .totp(let period)? = credential.device(at: index)?.kind {
        self.period = period
      }
    }
  }

  private mutating func setDeviceName(_ check: borrowing CodeCheck) {
    deviceName = ByteText(capacity: check.deviceName.count)
    deviceName.append(check.deviceName)
  }
}
