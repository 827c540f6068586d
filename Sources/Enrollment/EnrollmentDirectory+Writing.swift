internal import FixedMemory
public import SystemFiles

/// Changes by the setup command. Each is atomic, even if the machine crashes.
extension EnrollmentDirectory {
  /// Creates an enrollment in a directory with a temporary name from a random `tag`, and renames it. Fails with
  /// ENOTEMPTY or EEXIST if the user is enrolled.
  public static func create(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, credential: Span<UInt8>,
    state: borrowing LoginState, tag: UInt64,
    identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    try create(
      path, named: path.lastName, of: account, credential: credential, state: state, tag: tag, identity: &identity)
  }

  /// Creates an enrollment beside a path, with the last name of another one, under which it is not in force.
  package static func create(
    _ path: borrowing EnrollmentPath, as other: borrowing EnrollmentPath, of account: borrowing Account,
    credential: Span<UInt8>, state: borrowing LoginState, tag: UInt64, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    try create(
      path, named: other.lastName, of: account, credential: credential, state: state, tag: tag, identity: &identity)
  }

  private static func create(
    _ path: borrowing EnrollmentPath, named name: consuming ByteText, of account: borrowing Account,
    credential: Span<UInt8>, state: borrowing LoginState, tag: UInt64, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    let name = name
    let parent = try EnrollmentDirectory(parentOf: path, of: account, identity: &identity)
    let temporary = try parent.makeTemporary(path, credential: credential, state: state, tag: tag)
    do throws(EnrollmentFailure) {
      let flusher = try parent.entryFlusher(path, through: temporary)
      try parent.rename(temporary, to: name)
      do throws(Errno) {
        try flusher.synchronize()
      } catch {
        try parent.rename(name, to: temporary)
        throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
      }
    } catch {
      parent.erase(temporary)
      throw error
    }
  }

  /// Replaces this directory, whose files are unusable, by a new enrollment. Creates the new directory beside it, with
  /// a temporary name from a random `tag`, and exchanges both, so that a directory exists at any time.
  public borrowing func replaceUnusable(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, credential: Span<UInt8>,
    state: borrowing LoginState, tag: UInt64, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    let parent = try EnrollmentDirectory(parentOf: path, of: account, identity: &identity)
    let name = path.lastName
    let temporary = try parent.makeTemporary(path, credential: credential, state: state, tag: tag)
    do throws(EnrollmentFailure) {
      let flusher = try parent.entryFlusher(path, through: temporary)
      guard try parent.exchange(temporary, with: name) else {
        try takeFiles(from: parent.openTemporary(temporary))
        parent.erase(temporary)
        return
      }
      do throws(EnrollmentFailure) {
        let replaced = try parent.openTemporary(temporary)
        guard try isSame(as: replaced) else {
          throw EnrollmentFailure(.io, "directory", "was replaced meanwhile", error: .exists)
        }
        try attempt("directory", "cannot be flushed", flusher.synchronize())
      } catch {
        _ = try parent.exchange(temporary, with: name)
        throw error
      }
    } catch {
      parent.erase(temporary)
      throw error
    }
    parent.erase(temporary)
  }

  /// For file systems that cannot exchange directories, moves the files of a new enrollment into this one. Until the
  /// new credential is in place, logins reject the old one, or its absence.
  private borrowing func takeFiles(from new: borrowing EnrollmentDirectory) throws(EnrollmentFailure) {
    let flusher = try openForFlushing()
    try new.move("state", into: self)
    try attempt("directory", "cannot be flushed", flusher.synchronize())
    try new.move("credential", into: self)
    do throws(Errno) {
      try flusher.synchronize()
    } catch {
      // Without a credential, logins are refused as before.
      try move("credential", into: new)
      throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
    }
  }

  private borrowing func move(_ name: Literal, into target: borrowing EnrollmentDirectory) throws(EnrollmentFailure) {
    do throws(Errno) {
      try directory.move(name, into: target.directory)
    } catch {
      guard error != .isDirectory else { throw EnrollmentFailure(.insecure, name, "is not a file", error: error) }
      throw EnrollmentFailure(.io, name, "cannot be renamed", error: error)
    }
  }

  private borrowing func openTemporary(_ name: borrowing ByteText) throws(EnrollmentFailure) -> EnrollmentDirectory {
    let opened = try attempt("directory", "cannot be opened", directory.openUnlessFUSE(name, for: .traversal))
    return EnrollmentDirectory(directory: opened, owner: owner)
  }

  /// Whether both are the same directory of a file system.
  public borrowing func isSame(as other: borrowing EnrollmentDirectory) throws(EnrollmentFailure) -> Bool {
    let status = try attempt("directory", "cannot be examined", directory.status())
    let otherStatus = try attempt("directory", "cannot be examined", other.directory.status())
    return status.device == otherStatus.device && status.inode == otherStatus.inode
  }

  private borrowing func exchange(
    _ name: borrowing ByteText, with other: borrowing ByteText
  ) throws(EnrollmentFailure) -> Bool {
    try attempt("directory", "cannot be exchanged", directory.exchange(name, with: other))
  }

  /// Replaces the credential of a locked enrollment by a new generation. Flushes the new state beside the old one
  /// first, so that either credential has its state at any time.
  public borrowing func replace(
    _ enrollment: borrowing LockedEnrollment<StateFile>, with credential: Span<UInt8>, state: borrowing LoginState
  ) throws(EnrollmentFailure) {
    try enrollment.save(state)
    // Keep the lock until the credential is replaced, too.
    let renewed = renewState(of: enrollment, with: state)
    defer { extendLifetime(renewed) }
    let (name, temporary): (Literal, Literal) = ("credential", "credential.new")
    // Left over from an earlier attempt, because every writer holds the lock.
    directory.removeFile(temporary)
    do throws(EnrollmentFailure) {
      try write(credential, to: temporary)
      let flusher = try openForFlushing()
      try rename(temporary, to: name)
      do throws(Errno) {
        try flusher.synchronize()
      } catch {
        // The other slot still contains the state of the old credential.
        try write(enrollment.credential.text.bytes, to: temporary)
        try rename(temporary, to: name)
        throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
      }
    } catch {
      directory.removeFile(temporary)
      throw error
    }
  }

  /// Replaces a state file that btrfs copies at each login by one with the same records that btrfs overwrites in place.
  /// Returns nil if the file is not copied, or cannot be replaced and stays in use.
  ///
  /// The caller holds the old file's lock. A login that waits for it finds that the file was removed, and opens the new
  /// one.
  private borrowing func renewState(
    of enrollment: borrowing LockedEnrollment<StateFile>, with state: borrowing LoginState
  ) -> StateFile? {
    guard enrollment.lock.file.copiesOnWrite else { return nil }
    let temporary: Literal = "state.new"
    directory.removeFile(temporary)
    do throws(EnrollmentFailure) {
      let file = try StateFile(locking: createFile(temporary, for: .readWrite))
      try enrollment.copy(to: file, adding: state)
      try rename(temporary, to: "state")
      return file
    } catch {
      directory.removeFile(temporary)
      return nil
    }
  }

  /// Removes a locked enrollment: renames its directory to a temporary name from a random `tag`, then erases the files.
  public borrowing func remove(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, tag: UInt64, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    let parent = try EnrollmentDirectory(parentOf: path, of: account, identity: &identity)
    parent.eraseLeftovers(of: path)
    let name = path.lastName
    let flusher = try parent.entryFlusher(path, through: name)
    let temporary = try parent.renameAway(name, path, tag)
    do throws(Errno) {
      try flusher.synchronize()
    } catch {
      try parent.rename(temporary, to: name)
      throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
    }
    parent.erase(temporary)
  }

  /// Creates an enrollment with the credential and the state of a locked one, as
  /// ``create(_:of:credential:state:tag:identity:)``.
  public static func create(
    _ path: borrowing EnrollmentPath, of account: borrowing Account,
    copying enrollment: borrowing LockedEnrollment<StateFile>,
    tag: UInt64, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    try create(
      path, of: account, credential: enrollment.credential.text.bytes, state: enrollment.state.value, tag: tag,
      identity: &identity)
  }

  /// Renames the directory of an enrollment to another name beside it.
  public static func rename(
    _ path: borrowing EnrollmentPath, to other: borrowing EnrollmentPath, of account: borrowing Account,
    identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    let parent = try EnrollmentDirectory(parentOf: path, of: account, identity: &identity)
    let name = path.lastName
    let otherName = other.lastName
    let flusher = try parent.entryFlusher(path, through: name)
    try parent.rename(name, to: otherName)
    do throws(Errno) {
      try flusher.synchronize()
    } catch {
      try parent.rename(otherName, to: name)
      throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
    }
  }

  /// Erases the files of an enrollment that is not in force, and removes its directory.
  public static func erase(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    try EnrollmentDirectory(parentOf: path, of: account, identity: &identity).erase(path.lastName)
  }

  /// Returns the temporary name.
  private borrowing func renameAway(
    _ name: borrowing ByteText, _ path: borrowing EnrollmentPath, _ tag: UInt64
  ) throws(EnrollmentFailure) -> ByteText {
    var attempts = Counter(to: Self.attempts(path))
    while let attempt = attempts.next() {
      let temporary = Self.temporaryName(of: path, Self.removedInfix, tag &+ UInt64(attempt))
      do throws(Errno) {
        try directory.rename(name, to: temporary)
        return temporary
      } catch {
        guard error == .exists || error == .notEmpty else {
          throw EnrollmentFailure(.io, "directory", "cannot be renamed", error: error)
        }
      }
    }
    throw EnrollmentFailure(.io, "directory", "cannot be renamed", error: .exists)
  }

  borrowing func createFile(_ name: Literal, for purpose: OpenFile.Purpose) throws(EnrollmentFailure) -> OpenFile {
    try attempt(name, "cannot be created", directory.create(name, for: purpose, permissions: 0o600))
  }

  /// Creates an enrollment in a subdirectory with a temporary name.
  private borrowing func makeTemporary(
    _ path: borrowing EnrollmentPath, credential: Span<UInt8>, state: borrowing LoginState, tag: UInt64
  ) throws(EnrollmentFailure) -> ByteText {
    eraseLeftovers(of: path)
    var attempts = Counter(to: Self.attempts(path))
    while let attempt = attempts.next() {
      let temporary = Self.temporaryName(of: path, Self.newInfix, tag &+ UInt64(attempt))
      do throws(Errno) {
        try directory.makeDirectory(temporary, permissions: 0o700)
      } catch {
        guard error != .exists else { continue }
        throw EnrollmentFailure(.io, "directory", "cannot be created", error: error)
      }
      do throws(EnrollmentFailure) {
        try fill(temporary, credential: credential, state: state)
      } catch {
        erase(temporary)
        throw error
      }
      return temporary
    }
    throw EnrollmentFailure(.io, "directory", "cannot be created", error: .exists)
  }

  private borrowing func fill(
    _ name: borrowing ByteText, credential: Span<UInt8>, state: borrowing LoginState
  ) throws(EnrollmentFailure) {
    let opened = try attempt("directory", "cannot be opened", directory.open(name, for: .directory))
    try attempt("directory", "cannot be opened", opened.setPermissions(0o700))
    let owner = try attempt("directory", "cannot be opened", opened.status()).owner
    let new = EnrollmentDirectory(directory: opened, owner: owner)
    try new.write(credential, to: "credential")
    let file = try StateFile(locking: new.createFile("state", for: .readWrite))
    try file.rewrite(state, sequence: 1)
    let flusher = try new.openForFlushing()
    try attempt("directory", "cannot be flushed", flusher.synchronize())
  }

  private borrowing func write(_ text: Span<UInt8>, to name: Literal) throws(EnrollmentFailure) {
    let file = try createFile(name, for: .write)
    try attempt("credential", "cannot be written", file.write(text, at: 0))
    try attempt("credential", "cannot be written", file.synchronize())
  }

  /// Opens the directory again, because a descriptor for traversal cannot be flushed.
  private borrowing func openForFlushing() throws(EnrollmentFailure) -> OpenFile {
    try openFile(".", for: .directory)
  }

  private borrowing func entryFlusher(
    _ path: borrowing EnrollmentPath, through name: borrowing ByteText
  ) throws(EnrollmentFailure) -> EntryFlusher {
    // The group can search the host store, but not read it, so flush its file system.
    guard path.isInHostStore else { return try EntryFlusher(file: openForFlushing(), flushesFileSystem: false) }
    let file = try attempt("directory", "cannot be opened", directory.open(name, for: .directory))
    return EntryFlusher(file: file, flushesFileSystem: true)
  }

  private borrowing func rename(
    _ from: borrowing ByteText, to target: borrowing ByteText
  ) throws(EnrollmentFailure) {
    try attempt("directory", "cannot be renamed", directory.rename(from, to: target))
  }

  private borrowing func rename(_ from: Literal, to target: Literal) throws(EnrollmentFailure) {
    try attempt("directory", "cannot be renamed", directory.rename(from, to: target))
  }

  /// Erases the files of a subdirectory, and removes it if it is then empty.
  private borrowing func erase(_ name: borrowing ByteText) {
    do throws(Errno) {
      let opened = try directory.openUnlessFUSE(name, for: .traversal)
      let owner = try opened.status().owner
      let old = EnrollmentDirectory(directory: opened, owner: owner)
      old.overwriteCredential()
      old.directory.removeFile("credential")
      old.directory.removeFile("credential.new")
      old.directory.removeFile("state")
      old.directory.removeFile("state.new")
    } catch {
      return
    }
    directory.removeDirectory(name)
  }

  /// Overwrites the secrets with zeros, for disks that write in place.
  private borrowing func overwriteCredential() {
    do throws(EnrollmentFailure) {
      let file = try openFile("credential", for: .write)
      let length = Int(truncatingIfNeeded: try checkedStatus(of: file, "credential").size)
      let zeros = InlineArray<1024, UInt8>(repeating: 0)
      for offset in stride(from: 0, to: Swift.min(length, Credential.maximumLength), by: zeros.count) {
        let part = zeros.span.slice(from: 0, to: length &- offset)
        try attempt("credential", "cannot be written", file.write(part, at: offset))
      }
      try attempt("credential", "cannot be flushed", file.flush())
    } catch {
      // The caller removes the file in any case.
    }
  }
}

/// Flushes the entries of a directory.
private struct EntryFlusher: ~Copyable {
  let file: OpenFile
  let flushesFileSystem: Bool

  borrowing func synchronize() throws(Errno) {
    if flushesFileSystem { try file.synchronizeFileSystem() } else { try file.synchronize() }
  }
}

/// Leftovers: directories with temporary names from killed setup commands. They contain secrets.
extension EnrollmentDirectory {
  /// Between the directory's name and the tag.
  private static var newInfix: Literal { ".new-" }
  private static var removedInfix: Literal { ".removed-" }

  /// After this many seconds no running command uses a temporary directory.
  private static var leftoverAge: Int64 { 600 }

  /// The number of temporary names in the host store: few enough to try all, because the helper cannot list it.
  private static var hostTags: UInt64 { 16 }

  /// How many temporary names to try.
  private static func attempts(_ path: borrowing EnrollmentPath) -> Int { path.isInHostStore ? Int(hostTags) : 1 }

  private static func temporaryName(of path: borrowing EnrollmentPath, _ infix: Literal, _ tag: UInt64) -> ByteText {
    var name = ByteText(capacity: 299)
    name.append(path.lastName)
    name.append(infix)
    name.append(decimal: path.isInHostStore ? tag % hostTags : tag)
    return name
  }

  /// Erases leftovers beside an enrollment, but only in the host store and below a home directory: elsewhere another
  /// user's enrollment could have such a name.
  private borrowing func eraseLeftovers(of path: borrowing EnrollmentPath) {
    if path.isInHostStore {
      var tags = Counter(to: Int(Self.hostTags))
      while let tag = tags.next() {
        eraseIfOld(Self.temporaryName(of: path, Self.newInfix, UInt64(tag)))
        eraseIfOld(Self.temporaryName(of: path, Self.removedInfix, UInt64(tag)))
      }
    }
    guard path.isBelowHome else { return }
    let name = path.lastName
    // Erase one at a time, because the directory must not change while its names are read.
    while let leftover = findLeftover(of: name) {
      erase(leftover)
      guard !exists(leftover) else { return }
    }
  }

  private borrowing func eraseIfOld(_ name: borrowing ByteText) {
    if isOldDirectory(name) { erase(name) }
  }

  private borrowing func exists(_ name: borrowing ByteText) -> Bool {
    do throws(Errno) {
      _ = try directory.openUnlessFUSE(name, for: .status)
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
        if isOldDirectory(candidate) { return candidate }
      }
    } catch {
      // Leftovers in an unreadable directory stay.
    }
    return nil
  }

  private borrowing func isOldDirectory(_ name: borrowing ByteText) -> Bool {
    do throws(Errno) {
      let status = try directory.openUnlessFUSE(name, for: .traversal).status()
      return status.modifiedAt < SystemClock.now &- Self.leftoverAge
    } catch {
      return false
    }
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
