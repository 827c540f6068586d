import FixedMemory
import SystemFiles
import Testing

@testable import Enrollment

@Suite struct EnrollmentPathTests {
  private func path(_ template: String, user: String = "alice") -> String? {
    do throws(EnrollmentFailure) {
      let entry = unsafe Account(name: user, userID: UserID(rawValue: 4201), groupID: .invalid, home: "/home/alice")
      guard let entry else { return nil }
      let path = try EnrollmentPath(template: Array(template.utf8).span, account: entry)
      return (path.isBelowHome ? "home:" : "") + path.below.bytes.string + " in " + path.lastName.string
    } catch {
      return nil
    }
  }

  @Test(
    arguments: [
      ("~/.twofactor", "home:.twofactor in .twofactor"), ("%h/.config/2fa", "home:.config/2fa in 2fa"),
      ("/var/lib/twofactor/%u", "/var/lib/twofactor/alice in alice"), ("/a%%b/%u.2fa", "/a%b/alice.2fa in alice.2fa"),
      ("~/%u", "home:alice in alice"), ("/srv/%U", "/srv/4201 in 4201"),
    ])
  func aTemplateIsExpanded(template: String, expected: String) {
    #expect(path(template) == expected)
  }

  @Test(arguments: ["", ".", "..", "../root", "a/b", "/"]) func aUserNameThatIsAPathIsRejected(user: String) {
    #expect(path("/var/lib/twofactor/%u", user: user) == nil)
  }

  @Test func aTemplateThatIsTooLongIsRejected() {
    #expect(path("/" + String(repeating: "x", count: 3000)) == nil)
  }
}
