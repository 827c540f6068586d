public import Enrollment
public import FixedMemory
public import OneTimePassword
public import Verification

/// The answer to ``HelperRequest/status``: an enrollment without its secrets.
public enum EnrollmentReport {
  /// The whole answer with its length; nil if memory is short. `now` is Unix time.
  public static func encoded(
    _ credential: borrowing Credential, _ state: borrowing LoginState, limits: VerificationLimits, now: Int64
  ) -> SecretBuffer? {
    guard var writer = MessageWriter(HelperStatus.done.rawValue, capacity: 4096) else { return nil }
    writer.add(number: UInt64(bitPattern: credential.enabledAt))
    writer.add(number: UInt64(bitPattern: state.lastUsedAt))
    writer.add(number: UInt64(state.failures))
    switch Throttling(copy state, limits: limits, now: now) {
    case .no:
      writer.add(0)
      writer.add(number: 0)
    case .until(let moment):
      writer.add(1)
      writer.add(number: UInt64(bitPattern: moment))
    case .locked:
      writer.add(2)
      writer.add(number: 0)
    }
    writer.add(UInt8(truncatingIfNeeded: credential.backupCodeCount))
    writer.add(UInt8(truncatingIfNeeded: state.backupCodesLeft(of: credential)))
    writer.add(field: credential.backupCodeSetting())
    var index = 0
    while let device = credential.device(at: index) {
      switch device.kind {
      case .totp(let period):
        writer.add(1)
        writer.add(number: UInt64(bitPattern: period))
      case .hotp(let counter):
        writer.add(2)
        writer.add(number: Swift.max(counter, state[device: index].nextFactor))
      }
      writer.add(device.algorithm.code)
      writer.add(device.digits.rawValue)
      writer.add(number: UInt64(bitPattern: device.clockOffset))
      writer.add(number: UInt64(bitPattern: device.enabledAt))
      writer.add(number: UInt64(bitPattern: state[device: index].lastUsedAt))
      writer.add(field: credential.name(ofDeviceAt: index))
      index &+= 1
    }
    return writer.finish()
  }
}

extension HashAlgorithm {
  /// The number of the algorithm in a report.
  public var code: UInt8 {
    switch self {
    case .sha1: 1
    case .sha256: 2
    case .sha512: 3
    }
  }
}
