internal import FixedMemory
internal import SystemFiles

/// Directories that a setup command left behind when it was killed. They have one of the two temporary names of an
/// enrollment's directory, and contain secrets.
extension EnrollmentDirectory {
  /// The part of a temporary name between the directory's own name and a random number.
  static var newInfix: Literal { ".new-" }
  static var removedInfix: Literal { ".removed-" }

  /// The age in seconds after which no running command uses a temporary directory.
  private static var leftoverAge: Int64 { 600 }

  /// Erases leftovers in this directory, which contains that of an enrollment. Does so only below a home directory:
  /// elsewhere another user's enrollment could have such a name.
  borrowing func eraseLeftovers(of path: borrowing EnrollmentPath) {
    guard path.isBelowHome else { return }
    let name = path.lastName
    // One at a time: the directory must not change while its names are read.
    while let leftover = findLeftover(of: name) {
      erase(leftover)
      guard !exists(leftover) else { return }
    }
  }

  private borrowing func exists(_ name: borrowing ByteText) -> Bool {
    do throws(Errno) {
      _ = try directory.status(of: name)
      return true
    } catch {
      return false
    }
  }

  private borrowing func findLeftover(of name: borrowing ByteText) -> ByteText? {
    do throws(Errno) {
      var names = try directory.names()
      while let candidate = names.next() {
        guard !candidate.isTruncated, Self.isTemporaryName(candidate, of: name) else { continue }
        let status = try directory.status(of: candidate)
        if status.isDirectory, status.modifiedAt < SystemClock.now &- Self.leftoverAge { return candidate }
      }
    } catch {
      // Leftovers in an unreadable directory stay.
    }
    return nil
  }

  private static func isTemporaryName(_ candidate: borrowing ByteText, of name: borrowing ByteText) -> Bool {
    guard candidate.bytes.slice(from: 0, to: name.count).isEqual(to: name.bytes) else { return false }
    let rest = candidate.bytes.slice(from: name.count)
    return isNumber(rest, after: newInfix) || isNumber(rest, after: removedInfix)
  }

  private static func isNumber(_ text: Span<UInt8>, after infix: Literal) -> Bool {
    text.starts(with: infix) && text.slice(from: infix.byteCount).decimal(upTo: UInt64.max) != nil
  }
}
