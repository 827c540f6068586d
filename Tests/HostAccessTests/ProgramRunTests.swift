import HostAccess
import SystemFiles
import Testing

@Suite struct ProgramRunTests {
  private func shell(_ script: String, input: String = "", timeout: Int = 60) throws -> ProgramRun {
    try ProgramRun("/bin/sh", ["-c", script], input: input, outputLimit: 100_000, timeout: timeout)
  }

  @Test func bothStreamsAndTheExitStatusAreReturned() throws {
    let run = try shell("echo one; echo two >&2; exit 3")
    #expect(run.output == "one\ntwo\n" && run.end == .exited(3))
    #expect(try shell("kill -KILL $$").end == .signaled(9))
  }

  @Test func aProgramThatCannotBeStartedIsAnError() {
    #expect(throws: Errno.noSuchFile) { try ProgramRun("/nonexistent", [], timeout: 60) }
  }

  @Test func theProgramReadsTheInputToItsEnd() throws {
    #expect(try shell("cat", input: "a mail\n").output == "a mail\n")
    #expect(try shell("cat").output == "")
    #expect(throws: Errno.self) { try shell("cat", input: String(repeating: "x", count: 4097)) }
  }

  @Test func moreOutputThanTheLimitIsDropped() throws {
    let run = try ProgramRun("/bin/sh", ["-c", "head -c 300000 /dev/zero"], outputLimit: 10, timeout: 60)
    #expect(run.output.utf8.count == 10 && run.end == .exited(0))
  }

  @Test func aProgramIsKilledAtItsTimeout() throws {
    #expect(try shell("sleep 1000", timeout: 1).end == .timedOut)
    #expect(try shell("yes", timeout: 1).end == .timedOut)
  }

  @Test func aProcessLeftBehindDoesNotDelayTheResult() throws {
    let run = try shell("sleep 1000 & echo $!", timeout: 60)
    #expect(run.end == .exited(0))
    _ = try shell("kill \(run.output)")
  }

  @Test func theEnvironmentIsFixed() throws {
    let run = try ProgramRun("/usr/bin/env", [], outputLimit: 1000, timeout: 60)
    #expect(run.output == "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n")
  }

  /// A program that runs as a user must not reach root's terminal.
  @Test func theProgramRunsInItsOwnSession() throws {
    // The sixth field of proc_pid_stat(5) is the session, numbered like the process that created it.
    let numbers = try shell("echo $$; cut -d ' ' -f 6 /proc/$$/stat").output.split(separator: "\n")
    #expect(numbers.count == 2 && numbers.first == numbers.last)
  }
}
