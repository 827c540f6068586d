import Enrollment
import FixedMemory
import OneTimePassword

/// What a users file of pam_oath says: a line for each token, `TYPE USER PASSWORD KEY [COUNTER [CODE [TIME]]]`. Lines
/// that begin with anything but a type are comments (liboath, `usersfile.c`; its `oath_authenticate_usersfile`).
package struct OATHUsersFile {
  /// One line that has a type.
  package struct Entry {
    /// The line, counted from 1.
    package let line: Int
    /// Whose it is.
    package let user: String
    /// The token, or why it cannot be used.
    package let token: Result<OATHToken, FormatProblem>
  }

  /// The lines, in their order.
  package let entries: [Entry]

  /// All users of the file, each once, in their order.
  package let users: [String]

  /// By the bytes of the name: to a String, two ways to write an accented letter are one, and they are two accounts.
  private let entriesOfUsers: [[UInt8]: [Entry]]

  /// Reads the bytes of a file. What is wrong with one line is said there, so that it is no other user's trouble.
  package init(parsing text: Span<UInt8>) {
    var lines = TextLines()
    var entries: [Entry] = []
    while let line = lines.next(in: text) {
      let words = line.words(in: text)
      guard words.count > 1, Self.isType(text.slice(words[0])) else { continue }
      let user = text.text(words[1])
      do throws(FormatProblem) {
        guard user != nil else { throw FormatProblem("the user name is not UTF-8") }
        let token = try OATHToken(words, of: text)
        entries.append(Entry(line: line.number, user: user ?? "", token: .success(token)))
      } catch {
        let problem = FormatProblem(line: line.number, error.message, hint: error.hint)
        entries.append(Entry(line: line.number, user: user ?? "", token: .failure(problem)))
      }
    }
    self.entries = entries
    var seen: Set<[UInt8]> = []
    users = entries.map(\.user).filter { seen.insert(Array($0.utf8)).inserted }
    entriesOfUsers = Dictionary(grouping: entries) { Array($0.user.utf8) }
  }

  /// The tokens of a user, in their order.
  ///
  /// - Throws: What is wrong with the first line that cannot be used: a token that the user has is not left out.
  package func tokens(of user: String) throws(FormatProblem) -> [OATHToken] {
    var tokens: [OATHToken] = []
    for entry in entriesOfUsers[Array(user.utf8)] ?? [] {
      let token = try entry.token.get()
      guard !tokens.contains(where: { $0.key.isEqual(to: token.key) }) else {
        throw FormatProblem(line: entry.line, "the key is that of another line of this user")
      }
      tokens.append(token)
    }
    return tokens
  }

  /// Whether a line that begins with this word is meant to be a token: of a type that pam_oath knows, or of one like
  /// it.
  static func isType(_ word: Span<UInt8>) -> Bool { word.isEqual(to: "HOTP") || word.starts(with: "HOTP/") }
}
