import Testing

@testable import TwoFactorSetup

@Suite struct InvocationTests {
  @Test func anOptionIsAddedOrReplaced() {
    func text(_ arguments: [String]) -> String { Invocation.text(with: ["--issuer", "web 1"], of: arguments) }
    #expect(text(["enable"]) == "twofactor enable --issuer 'web 1'")
    #expect(text(["enable", "--issuer", "long", "--force"]) == "twofactor enable --force --issuer 'web 1'")
    #expect(text(["enable", "--issuer=long"]) == "twofactor enable --issuer 'web 1'")
  }

  @Test func wordsAreQuotedForTheShellAndAURIIsNotRepeated() {
    let arguments = ["device", "add", "my phone", "it's", "", "OTPAuth://totp/x?secret=KEY"]
    #expect(Invocation.text(of: arguments) == #"twofactor device add 'my phone' 'it'\''s' '' URI"#)
  }
}
