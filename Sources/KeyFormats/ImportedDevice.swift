import Enrollment
import OneTimePassword

/// A device as another program knew it.
package struct ImportedDevice {
  package let kind: Device.Kind
  package let algorithm: HashAlgorithm
  package let digits: CodeDigits
  package let key: SharedKey
  /// Who asks for the code, as the app shows it; nil where that is not known.
  package var issuer: String?
  /// Whose code it is, as the app shows it; nil where that is not known.
  package var account: String?
  /// The lowest time step that is still good; 0 where nothing is known to be used. A counter stands in ``kind``.
  package var nextStep: UInt64 = 0
  /// When a code of it was last used, in seconds since the epoch; 0 where that is not known.
  package var lastUsedAt: Int64 = 0

  /// A device of which nothing is known to be used.
  package init(kind: Device.Kind, algorithm: HashAlgorithm = .sha1, digits: CodeDigits = .six, key: SharedKey) {
    self.kind = kind
    self.algorithm = algorithm
    self.digits = digits
    self.key = key
  }
}
