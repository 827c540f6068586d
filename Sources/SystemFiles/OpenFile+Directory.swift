internal import CSystem
public import FixedMemory

extension OpenFile {
  /// Creates a directory in this one (mkdirat(2)).
  public borrowing func makeDirectory(_ name: borrowing ByteText, permissions: UInt32) throws(Errno) {
    // SAFETY: the text is NUL-terminated and lent for the call.
    guard unsafe name.withCString({ unsafe mkdirat(descriptor, $0, permissions) }) == 0 else { throw .current }
  }

  /// Renames an entry of this directory, replacing one of the new name (renameat(2)).
  public borrowing func rename(_ name: borrowing ByteText, to target: borrowing ByteText) throws(Errno) {
    // SAFETY: both texts are NUL-terminated and lent for the call.
    let result = unsafe name.withCString { name in
      unsafe target.withCString { unsafe renameat(descriptor, name, descriptor, $0) }
    }
    guard result == 0 else { throw .current }
  }

  /// Renames an entry of this directory, replacing one of the new name (renameat(2)).
  public borrowing func rename(_ name: Literal, to target: Literal) throws(Errno) {
    // SAFETY: literals are NUL-terminated.
    guard unsafe renameat(descriptor, name.cString, descriptor, target.cString) == 0 else { throw .current }
  }

  /// Removes a file from this directory if it is there (unlinkat(2)).
  public borrowing func removeFile(_ name: Literal) {
    // SAFETY: a literal is NUL-terminated.
    _ = unsafe unlinkat(descriptor, name.cString, 0)
  }

  /// Removes a directory from this one if it is there and empty (unlinkat(2)).
  public borrowing func removeDirectory(_ name: borrowing ByteText) {
    // SAFETY: the text is NUL-terminated and lent for the call.
    _ = unsafe name.withCString { unsafe unlinkat(descriptor, $0, AT_REMOVEDIR) }
  }

  /// The names of the entries of this directory, `.` and `..` included.
  public borrowing func names() throws(Errno) -> DirectoryNames {
    let stream = try open(".", for: .directory)
    return try DirectoryNames(stream)
  }
}

/// The names of the entries of a directory, one after the other (readdir(3)).
@safe
public struct DirectoryNames: ~Copyable {
  // SAFETY: the stream is open until `deinit`.
  private let stream: OpaquePointer

  fileprivate init(_ directory: consuming OpenFile) throws(Errno) {
    let descriptor = dup(directory.descriptor)
    guard descriptor >= 0 else { throw .current }
    guard let stream = unsafe fdopendir(descriptor) else {
      let error = Errno.current
      _ = close(descriptor)
      throw error
    }
    unsafe self.stream = stream
  }

  deinit { _ = unsafe closedir(stream) }

  /// The next name, or nil at the end.
  public mutating func next() -> ByteText? {
    // SAFETY: the name is NUL-terminated, and copied before the next call.
    guard let name = unsafe csystem_next_name(stream) else { return nil }
    return unsafe ByteText(cString: name)
  }
}
