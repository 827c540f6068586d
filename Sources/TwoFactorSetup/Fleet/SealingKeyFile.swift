import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// The keys that seal the credentials of a group of hosts (`pam/postgresql.md`), one in a line: the first one seals,
/// all open. A `+` marks a new key, which waits until all hosts have it.
struct SealingKeyFile: ~Copyable {
  let path: String
  /// The lines of the file, each with its newline, without empty ones.
  private var text: SecretBuffer
  /// The offsets of the start of each line, and of the end of the last one.
  private var bounds: [Int] = [0]
  /// Locks the folder, so that no other `fleet rekey` runs at the same time.
  private let directory: OpenFile

  private static let group = "_twofactor"
  private static let keyLength = 32
  private static let maximumLength = 65_536
  private static let mark = UInt8(ascii: "+")

  var count: Int { bounds.count - 1 }

  /// The line of the key that waits; nil if there is none. The first line seals in any case.
  var waitingLine: Int? { (1..<max(count, 1)).last { text.bytes.byte(at: bounds[$0]) == Self.mark } }

  /// Locks and reads the file; an absent file has no keys.
  ///
  /// - Throws: ``SetupError``.
  static func open(_ path: String) throws -> SealingKeyFile {
    var file = try SealingKeyFile(path, emptyText(), in: lockedDirectory(of: path))
    if let bytes = try content(of: path) { try file.read(bytes) }
    return file
  }

  private init(_ path: String, _ text: consuming SecretBuffer, in directory: consuming OpenFile) {
    self.path = path
    self.text = text
    self.directory = directory
  }

  private static func emptyText() throws -> SecretBuffer {
    guard let text = SecretBuffer(capacity: maximumLength + 2 * keyLength + 2) else { throw SetupError.outOfMemory }
    return text
  }

  private static func lockedDirectory(of path: String) throws -> OpenFile {
    let end = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    do throws(Errno) {
      // SAFETY: the string is NUL-terminated for the call.
      let directory = try unsafe OpenFile.following(end == "" ? "/" : end, for: .directory)
      if flock(directory.descriptor, LOCK_EX | LOCK_NB) == 0 { return directory }
    } catch {
      throw SetupError(.inputOutput, "\(path): \(error.text)")
    }
    throw SetupError(.refused, "another twofactor fleet rekey is running on this host")
  }

  /// Nil if the file does not exist.
  private static func content(of path: String) throws -> SecretBuffer? {
    do throws(Errno) {
      // SAFETY: the string is NUL-terminated for the call.
      let file = try unsafe OpenFile.following(path, for: .read)
      let status = try file.status()
      let length = Int(clamping: status.size)
      if TrustRule.file(of: .root).violation(of: status) == nil, length < maximumLength {
        guard var bytes = SecretBuffer(capacity: length + 1) else { throw Errno.outOfMemory }
        try file.read(into: &bytes)
        return bytes
      }
    } catch {
      if error == .noSuchFile { return nil }
      throw SetupError(.inputOutput, "\(path): \(error.text)")
    }
    throw SetupError(
      .configuration, "\(path) is too long, or others than root can write it",
      hint: "chown root:\(group) \(path) && chmod 640 \(path)")
  }

  private mutating func read(_ bytes: borrowing SecretBuffer) throws {
    var start = 0
    var number = 1
    while start < bytes.count {
      let end = bytes.bytes.firstIndex(of: UInt8(ascii: "\n"), from: start) ?? bytes.count
      try add(bytes.bytes.slice(from: start, to: end).withoutBlanks, line: number)
      start = end + 1
      number += 1
    }
  }

  private mutating func add(_ line: Span<UInt8>, line number: Int) throws {
    guard line.count > 0 else { return }
    let digits = line.slice(from: line.byte(at: 0) == Self.mark ? 1 : 0)
    var isValid = digits.count == 2 * Self.keyLength
    for index in 0..<digits.count { isValid = isValid && isxdigit(Int32(digits[index])) != 0 }
    guard isValid else { throw SetupError(.unusableData, "\(path), line \(number): is not 64 hexadecimal digits") }
    try add(line)
  }

  private mutating func add(_ line: Span<UInt8>) throws {
    guard text.append(line), text.append(UInt8(ascii: "\n")) else { throw SetupError.outOfMemory }
    bounds.append(text.count)
  }

  // MARK: Changes

  /// Appends a random key. The first key of a file seals at once; a later one waits.
  mutating func addKey() throws {
    let random = try Randomness.bytes(count: Self.keyLength)
    guard var line = SecretBuffer(capacity: 2 * Self.keyLength + 1) else { throw SetupError.outOfMemory }
    if count > 0 { _ = line.append(Self.mark) }
    for index in 0..<random.count {
      for digit in [random.bytes[index] >> 4, random.bytes[index] & 15] {
        _ = line.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      }
    }
    try add(line.bytes)
    try write()
  }

  /// Makes the key that waits the first one.
  mutating func useKey(at index: Int) throws { try keep([index] + (0..<count).filter { $0 != index }) }

  /// Removes all keys but the first.
  mutating func dropOldKeys() throws { try keep([0]) }

  /// Keeps these lines, in this order. Removes the mark of the first one.
  private mutating func keep(_ lines: [Int]) throws {
    var kept = try Self.emptyText()
    swap(&kept, &text)
    let old = bounds
    bounds = [0]
    for line in lines {
      let bytes = kept.bytes.slice(from: old[line], to: old[line + 1] - 1)
      try add(bytes.slice(from: bounds.count == 1 && bytes.byte(at: 0) == Self.mark ? 1 : 0))
    }
    try write()
  }

  /// Replaces the file at once, readable by root and the helper.
  private borrowing func write() throws {
    // SAFETY: the string is NUL-terminated for the call, and the entry is copied.
    guard let group = unsafe getgrnam(Self.group).map({ unsafe $0.pointee.gr_gid }) else {
      throw SetupError(
        .configuration, "the group \(Self.group) does not exist", hint: "groupadd --system \(Self.group)")
    }
    let name = path.split(separator: "/").last ?? ""
    do throws(Errno) {
      var new = ByteText(capacity: 255)
      var target = ByteText(capacity: 255)
      target.append(String(name).utf8.span)
      new.append(".\(name).new".utf8.span)
      // The leftover of a killed command.
      do throws(Errno) { try directory.remove(new) } catch {}
      let file = try directory.create(new, for: .readWrite, permissions: 0o600)
      guard fchown(file.descriptor, 0, group) == 0 else { throw Errno.current }
      try file.setPermissions(0o640)
      try file.write(text.bytes, at: 0)
      try file.synchronize()
      try directory.rename(new, to: target)
      try directory.synchronize()
    } catch {
      throw SetupError(.inputOutput, "cannot write \(path): \(error.text)")
    }
  }
}

extension Span where Element == UInt8 {
  fileprivate var withoutBlanks: Span<UInt8> {
    @_lifetime(copy self)
    get {
      var (start, end) = (0, count)
      while start < end, self[start].isBlank { start += 1 }
      while end > start, self[end - 1].isBlank || self[end - 1] == UInt8(ascii: "\r") { end -= 1 }
      return slice(from: start, to: end)
    }
  }
}
