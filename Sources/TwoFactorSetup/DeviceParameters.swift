import Enrollment
import OneTimePassword

/// How a device produces its codes, and what it is called.
struct DeviceParameters {
  static let defaultPeriod: Int64 = 30

  let name: String
  let kind: Device.Kind
  let algorithm: HashAlgorithm
  let digits: CodeDigits

  /// How many random bytes a key for the algorithm has: as many as its hash (RFC 4226 section 4, RFC 6238
  /// section 5.1).
  var keyLength: Int { algorithm.digestLength }
}

extension Device.Kind {
  /// The name in URIs, on the command line and in JSON.
  var name: String {
    switch self {
    case .totp: "totp"
    case .hotp: "hotp"
    }
  }

  /// The period in seconds, where there is one.
  var period: Int64? {
    if case .totp(let period) = self { period } else { nil }
  }
}

extension HashAlgorithm {
  /// The name as text, lower case.
  var text: String { name.description }
}
