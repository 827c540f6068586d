import Enrollment
import OneTimePassword

/// A new or imported device with its shared secret, before it is in a credential.
package struct DeviceDraft {
  /// In seconds (RFC 6238 section 5.2).
  package static let defaultPeriod: Int64 = 30

  package var name: String
  package let key: SharedKey
  package let kind: Device.Kind
  package let algorithm: HashAlgorithm
  package let digits: CodeDigits
  /// Unix time.
  package var enabledAt: Int64 = 0
  /// How many time steps the device's clock is ahead of the host's; not for HOTP.
  package var clockOffset: Int64 = 0
  /// As the app shows it; nil if unknown.
  package var issuer: String?
  /// The account label in the app; nil if unknown.
  package var account: String?
  /// The first unused time step; 0 if unknown. For HOTP, ``kind`` contains the counter.
  package var nextStep: UInt64 = 0
  /// Unix time of the last accepted code; nil if none.
  package var lastUsedAt: Int64?

  package init(
    name: String = "", key: SharedKey, kind: Device.Kind, algorithm: HashAlgorithm = .sha1, digits: CodeDigits = .six
  ) {
    self.name = name
    self.key = key
    self.kind = kind
    self.algorithm = algorithm
    self.digits = digits
  }
}

extension CredentialEncoder {
  /// An invalid name or secret makes ``finish()`` fail.
  package mutating func add(_ device: DeviceDraft) {
    device.key.withBytes { secret in
      addDevice(
        kind: device.kind, algorithm: device.algorithm, digits: device.digits, clockOffset: device.clockOffset,
        enabledAt: device.enabledAt, secret: secret, name: device.name.utf8.span)
    }
  }
}

extension Device.Kind {
  /// As in URIs, options and JSON.
  package var name: String {
    switch self {
    case .totp: "totp"
    case .hotp: "hotp"
    }
  }

  /// In seconds; nil for HOTP.
  package var period: Int64? {
    if case .totp(let period) = self { period } else { nil }
  }
}

extension HashAlgorithm {
  package var text: String { name.description }
}
