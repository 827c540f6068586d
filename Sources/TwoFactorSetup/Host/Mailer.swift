import HostAccess
import SystemFiles

/// A program with the interface of sendmail(8): the recipient as its argument, the mail on its standard input.
struct Mailer {
  let program: String

  /// In seconds.
  private static let timeout = 10

  /// Sends a mail.
  ///
  /// - Throws: ``SetupError`` if the program cannot be started, fails or times out.
  func send(_ message: String, to recipient: String) throws {
    do throws(Errno) {
      let run = try ProgramRun(program, ["-i", recipient], input: message, timeout: Self.timeout)
      switch run.end {
      case .exited(0): return
      case .exited(let status): throw failure("ended with \(status)")
      // As the shell counts it.
      case .signaled(let signal): throw failure("ended with \(128 + signal)")
      case .timedOut: throw failure("timed out")
      }
    } catch {
      throw failure(error.text)
    }
  }

  private func failure(_ problem: String) -> SetupError { SetupError(.inputOutput, "\(program): \(problem)") }
}
