import Enrollment
import OneTimePassword

/// How a device produces its codes, and what it is called.
package struct DeviceParameters {
  /// How long a code lasts where nothing else is said, in seconds.
  package static let defaultPeriod: Int64 = 30

  package let name: String
  package let kind: Device.Kind
  package let algorithm: HashAlgorithm
  package let digits: CodeDigits

  /// A device of that name and kind.
  package init(name: String, kind: Device.Kind, algorithm: HashAlgorithm, digits: CodeDigits) {
    self.name = name
    self.kind = kind
    self.algorithm = algorithm
    self.digits = digits
  }

  /// How many random bytes a key for the algorithm has: as many as its hash (RFC 4226 section 4, RFC 6238
  /// section 5.1).
  package var keyLength: Int { algorithm.digestLength }
}

extension Device.Kind {
  /// The name in URIs, on the command line and in JSON.
  package var name: String {
    switch self {
    case .totp: "totp"
    case .hotp: "hotp"
    }
  }

  /// The period in seconds, where there is one.
  package var period: Int64? {
    if case .totp(let period) = self { period } else { nil }
  }
}

extension HashAlgorithm {
  /// The name as text, lower case.
  package var text: String { name.description }
}
