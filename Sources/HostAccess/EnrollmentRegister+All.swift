import Enrollment
import SystemFiles

extension EnrollmentRegister {
  /// In ascending order.
  ///
  /// - Throws: ``EnrollmentFailure`` of kind `absent` if there is no register.
  package static var all: [UserID] {
    get throws(EnrollmentFailure) {
      var users = try users()
      var all: [UserID] = []
      while let user = users.next() { all.append(user) }
      return all.sorted { $0.rawValue < $1.rawValue }
    }
  }
}
