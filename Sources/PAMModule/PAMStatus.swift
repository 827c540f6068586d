internal import CPAM

/// What a module returns to libpam (pam(3), "Return values").
public struct PAMStatus: RawRepresentable, Equatable, Sendable {
  /// The number in the header.
  public let rawValue: Int32

  /// The status with this number.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  static var success: PAMStatus { PAMStatus(rawValue: PAM_SUCCESS) }
  static var ignore: PAMStatus { PAMStatus(rawValue: PAM_IGNORE) }
  static var authenticationError: PAMStatus { PAMStatus(rawValue: PAM_AUTH_ERR) }
  static var maximumTries: PAMStatus { PAMStatus(rawValue: PAM_MAXTRIES) }
  static var informationUnavailable: PAMStatus { PAMStatus(rawValue: PAM_AUTHINFO_UNAVAIL) }
  static var conversationError: PAMStatus { PAMStatus(rawValue: PAM_CONV_ERR) }
  static var serviceError: PAMStatus { PAMStatus(rawValue: PAM_SERVICE_ERR) }
}
