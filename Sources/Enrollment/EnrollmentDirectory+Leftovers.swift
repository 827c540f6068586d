internal import CSystem
internal import FixedMemory

/// What a setup command that was killed leaves behind: a directory beside the enrolment, under one of the two other
/// names that an enrolment has for a moment. It is in nobody's way, but there are secrets in it.
extension EnrollmentDirectory {
  /// What the other names have between the directory's own and a random number.
  static var newInfix: Literal { ".new-" }
  static var removedInfix: Literal { ".removed-" }

  /// After how long a directory under another name belongs to no command that still runs, in seconds.
  private static var leftoverAge: Int { 600 }

  /// Erases what earlier commands left in this directory, the one in which that of an enrolment lies. Only below a
  /// home: elsewhere another user's enrolment could have such a name.
  borrowing func eraseLeftovers(of path: borrowing EnrollmentPath) {
    guard path.isBelowHome else { return }
    // One at a time: the directory is not changed while it is read.
    while true {
      var search = LeftoverSearch(name: path.lastName, directory: directory.descriptor)
      search.run()
      guard search.found.count > 0 else { return }
      erase(search.found)
      guard !exists(search.found) else { return }
    }
  }

  private borrowing func exists(_ name: borrowing ByteText) -> Bool {
    var status = stat()
    return unsafe name.withCString { unsafe fstatat(directory.descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) } == 0
  }

  /// Looks for one leftover of an enrolment's directory among the names in another.
  private struct LeftoverSearch: ~Copyable {
    let name: ByteText
    let directory: Int32

    /// Its name; empty for none.
    var found = ByteText(capacity: 299)

    init(name: consuming ByteText, directory: Int32) {
      self.name = name
      self.directory = directory
    }

    mutating func run() {
      _ = unsafe withUnsafeMutablePointer(to: &self) { search in
        unsafe csystem_for_each_name(
          search.pointee.directory,
          { name, context in
            // SAFETY: the pointer is the one that was handed over, and the call is over before it ends.
            guard let search = unsafe context?.assumingMemoryBound(to: LeftoverSearch.self) else { return }
            unsafe search.pointee.visit(name)
          }, search)
      }
    }

    private mutating func visit(_ candidate: UnsafePointer<CChar>?) {
      guard found.count == 0 else { return }
      var text = ByteText(capacity: 299)
      unsafe text.append(cString: candidate)
      guard !name.isTruncated, !text.isTruncated, isOtherName(text.bytes) else { return }
      var status = stat()
      guard unsafe text.withCString({ unsafe fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0,
        FileStatus(status).isDirectory, Int(status.st_mtim.tv_sec) < Int(time(nil)) &- leftoverAge
      else { return }
      found.append(text)
    }

    private func isOtherName(_ candidate: Span<UInt8>) -> Bool {
      let own = candidate.slice(from: 0, to: name.count)
      guard own.isEqualInConstantTime(to: name.bytes) else { return false }
      let rest = candidate.slice(from: name.count)
      return hasNumber(rest, behind: newInfix) || hasNumber(rest, behind: removedInfix)
    }

    private func hasNumber(_ rest: Span<UInt8>, behind infix: Literal) -> Bool {
      rest.starts(with: infix) && rest.slice(from: infix.byteCount).decimal(upTo: UInt64.max) != nil
    }
  }
}
