import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import SystemFiles
import Verification

/// The files of google-authenticator in a directory of homes, or of copies: `DIR/USER/.google_authenticator`.
final class HomeFiles {
  static let name = ".google_authenticator"

  private let path: String
  private let directory: OpenFile

  /// - Throws: ``SetupError`` if others than root can write to the directory or its path: they could give a key to
  ///   another account.
  init(_ path: String) throws {
    self.path = path.hasSuffix("/") ? String(path.dropLast()) : path
    do throws(Errno) {
      directory = try ImportSource.openRootDirectory(path, allowsSticky: false)
    } catch {
      switch error {
      case .noSuchFile: throw SetupError(.noSuchFile, "\(path): no such directory")
      case .accessDenied:
        throw SetupError(
          .notPermitted, "\(path): others than root can write to the directory or its path, or it has a symlink",
          hint: "copy the files to a directory of root, DIR/USER/\(Self.name)")
      default: throw SetupError(.inputOutput, "cannot open \(path): \(error.text)")
      }
    }
  }

  /// The names in the directory, sorted.
  func users() throws -> [String] {
    var users: [String] = []
    do throws(Errno) {
      var names = try directory.names()
      while let name = names.next() { users.append(String(decoding: name.bytes)) }
    } catch {
      throw SetupError(.inputOutput, "cannot read \(path): \(error.text)")
    }
    return users.filter { $0 != "." && $0 != ".." }.sorted()
  }

  /// Nil if the user has no file.
  func keys(of user: String, limits: VerificationLimits) throws -> ImportedKeys? {
    let source = "\(path)/\(user)/\(Self.name)"
    guard let home = status(of: user) else { return nil }
    let subject = try Subject(user: user)
    if let violation = TrustRule.directory(of: subject.account.entry.userID, allowsSticky: false).violation(of: home) {
      throw SetupError(
        .notPermitted, "\(path)/\(user) \(violation.text.description)",
        hint: "import the file alone: twofactor import --user \(user.printable) FILE")
    }
    let text: SecretBuffer
    do {
      text =
        try ImportSource.readRootFile(source, orOwnedBy: subject.account.entry.userID)
        ?? ImportSource.readFile(source, of: subject)
    } catch let error as SetupError where error.status == .noSuchFile {
      return nil
    }
    return try ImportedKeys(
      parsing: text.bytes, from: source.printable, format: .googleAuthenticator,
      KeyFileReading(now: SystemClock.now), limits: limits)
  }

  /// The status of the user's directory; nil if it contains no file, or is no directory. Opens no file, because it may
  /// be a FIFO or a symlink of the user's.
  private func status(of user: String) -> FileStatus? {
    do throws(Errno) {
      // Only root can make a symlink here.
      let home = try directory.open(following: ImportSource.byteText(user[...]), for: .traversal)
      do throws(Errno) {
        _ = try home.status(of: ImportSource.byteText(Self.name[...]))
      } catch {
        // A file server may refuse root; the user's identity decides then.
        guard error == .accessDenied else { return nil }
      }
      return try home.status()
    } catch {
      return nil
    }
  }
}
