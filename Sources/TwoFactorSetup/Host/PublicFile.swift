import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// A file that root writes for everyone to read, such as metrics.
struct PublicFile: ~Copyable {
  private let path: String
  private let name: String
  private let directory: OpenFile

  /// Opens the directory. Follows no symlink: a directory above it may belong to another account, as Debian's
  /// `/var/lib/prometheus` does, which could otherwise redirect the file.
  ///
  /// - Throws: ``SetupError``, also if others than root can write the directory, or if the name is that of something
  ///   else than a regular file: a rename would replace `/dev/null`, too.
  init(_ path: String) throws {
    var parts = path.split(separator: "/").map(String.init)
    // The name of the new file, which is longer, must fit too.
    guard let name = parts.popLast(), !path.hasSuffix("/"), name != ".", name != "..", name.utf8.count < 200,
      parts.allSatisfy({ $0.utf8.count < 256 })
    else {
      throw SetupError(.usage, "\(path.printable) is not the name of a file")
    }
    let folder = try Self.trustedFolder(parts, of: path)
    guard Self.isReplaceable(name, in: folder) else {
      throw SetupError(
        .configuration, "cannot write \(path.printable): it exists, and is not a regular file",
        hint: "omit --output to write to standard output")
    }
    directory = folder
    self.name = name
    self.path = path
  }

  private static func isReplaceable(_ name: String, in directory: borrowing OpenFile) -> Bool {
    do throws(Errno) {
      return try directory.status(of: entry(name)).isRegularFile
    } catch {
      return error == .noSuchFile
    }
  }

  private static func trustedFolder(_ parts: [String], of path: String) throws -> OpenFile {
    do throws(Errno) {
      // SAFETY: the path is NUL-terminated for the call.
      var folder = try unsafe OpenFile.following(path.hasPrefix("/") ? "/" : ".", for: .directory)
      for part in parts { folder = try folder.open(entry(part), for: .directory) }
      let rule = TrustRule.directory(of: .root, allowsSticky: false)
      if rule.violation(of: try folder.status()) == nil { return folder }
    } catch {
      throw failure(path, error)
    }
    throw SetupError(
      .configuration, "cannot write \(path.printable): others than root can write its folder",
      hint: "see who can: ls -ld \(path.hasPrefix("/") ? "/" : "./")\(parts.joined(separator: "/").printable)")
  }

  /// Replaces the file at once. If this throws, the old file is unchanged.
  ///
  /// - Throws: ``SetupError``.
  consuming func replace(with text: String) throws {
    let new = Self.entry(".\(name).\(getpid()).new")
    let target = Self.entry(name)
    do throws(Errno) {
      // The leftover of a killed command.
      do throws(Errno) { try directory.remove(new) } catch {}
      let file = try directory.create(new, for: .write, permissions: 0o644)
      do throws(Errno) {
        try file.write(Array(text.utf8).span, at: 0)
        try file.synchronize()
        try directory.rename(new, to: target)
      } catch {
        let failure = error
        do throws(Errno) { try directory.remove(new) } catch {}
        throw failure
      }
      try directory.synchronize()
    } catch {
      throw SetupError(.inputOutput, "cannot write \(path.printable): \(error.text)")
    }
  }

  private static func failure(_ path: String, _ error: Errno) -> SetupError {
    switch error {
    // O_DIRECTORY with O_NOFOLLOW.
    case .notDirectory, .symbolicLink:
      SetupError(
        .configuration, "cannot write \(path.printable): part of its folder is a symlink, or no folder",
        hint: "see the parts: namei -l \(path.printable)")
    case .noSuchFile: SetupError(.noSuchFile, "cannot write \(path.printable): its folder does not exist")
    default: SetupError(.inputOutput, "cannot write \(path.printable): \(error.text)")
    }
  }

  private static func entry(_ name: String) -> ByteText {
    var text = ByteText(capacity: 255)
    text.append(name.utf8.span)
    return text
  }
}
