internal import CPostgreSQL
internal import FixedMemory

/// The answer of a process that timed out, because a server or a name service does not answer.
package enum TimeLimit {
  /// In seconds, for the whole process.
  package static let seconds: UInt32 = 10

  /// Nothing was decided.
  case noAnswer

  /// A commit was sent.
  case unconfirmed

  /// Lets SIGALRM answer with this failure, and end the process.
  package func announce() {
    let text =
      self == .noAnswer
      ? "no answer within \(Self.seconds) seconds" : "the commit was not confirmed within \(Self.seconds) seconds"
    guard let answer = StoreProblem(database: text).answer else { return }
    // SAFETY: C copies the bytes.
    unsafe answer.bytes.withUnsafeBufferPointer { unsafe cpostgresql_answer_alarm($0.baseAddress, $0.count) }
  }

  /// Lets SIGALRM end the process without an answer, before another answer is written.
  package static func withdraw() { cpostgresql_ignore_answer() }
}
