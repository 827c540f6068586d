import HostAccess
import Testing

@testable import TwoFactorSetup

@Suite struct ProgramOutputTests {
  @Test func bothStreamsAndTheEndAreTold() throws {
    let output = try #require(ProgramOutput("/bin/sh", ["-c", "echo one; echo two >&2; exit 3"]))
    #expect(output.text == "one\ntwo\n" && output.status == 3)
    #expect(ProgramOutput("/nonexistent", []) == nil)
  }

  /// A program that runs as a user must not come by the terminal of root: its session is its own, not ours.
  @Test func aProgramHasASessionOfItsOwn() throws {
    // The sixth field of proc_pid_stat(5) is the session, which has the number of the process that began it.
    let output = try #require(ProgramOutput("/bin/sh", ["-c", "echo $$; cut -d ' ' -f 6 /proc/$$/stat"]))
    let numbers = output.text.split(separator: "\n")
    #expect(numbers.count == 2 && numbers.first == numbers.last)
  }
}
