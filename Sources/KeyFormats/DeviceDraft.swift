import Enrollment
import OneTimePassword

/// A device on its way from the options or an import to the credential, with its shared secret.
package struct DeviceDraft {
  /// The default period in seconds (RFC 6238 section 5.2).
  package static let defaultPeriod: Int64 = 30

  package var name: String
  package let key: SharedKey
  package let kind: Device.Kind
  package let algorithm: HashAlgorithm
  package let digits: CodeDigits
  /// The time of enrollment, in seconds since the epoch.
  package var enabledAt: Int64 = 0
  /// The issuer that the app shows; nil if unknown.
  package var issuer: String?
  /// The account label that the app shows; nil if unknown.
  package var account: String?
  /// The lowest time step not used yet; 0 if unknown. For HOTP, ``kind`` contains the next counter.
  package var nextStep: UInt64 = 0
  /// When a code was last accepted, in seconds since the epoch; nil if never.
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
  /// Adds a device. An invalid name or secret makes ``finish()`` fail.
  package mutating func add(_ device: DeviceDraft) {
    device.key.withBytes { secret in
      addDevice(
        kind: device.kind, algorithm: device.algorithm, digits: device.digits, enabledAt: device.enabledAt,
        secret: secret, name: device.name.utf8.span)
    }
  }
}

extension Device.Kind {
  /// The name in URIs, on the command line and in JSON.
  package var name: String {
    switch self {
    case .totp: "totp"
    case .hotp: "hotp"
    }
  }

  /// The period in seconds; nil for HOTP.
  package var period: Int64? {
    if case .totp(let period) = self { period } else { nil }
  }
}

extension HashAlgorithm {
  package var text: String { name.description }
}
