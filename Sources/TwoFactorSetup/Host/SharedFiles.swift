import CSystem
import Enrollment
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// Examines the file systems of enrollments for `doctor`, and tests their servers.
enum SharedFiles {
  /// The file system of an enrollment or, without one, of its future place. Call it with the identity of the account.
  /// Nil if it cannot be opened.
  static func mount(of store: EnrollmentStore, isEnrolled: Bool) -> EnrollmentMount? {
    let parent = store.directory.lastIndex(of: "/").map { String(store.directory[..<$0]) } ?? ""
    let path = isEnrolled ? store.directory : store.isBelowHome ? store.account.homeText : parent
    // SAFETY: the path is NUL-terminated.
    guard let file = try? unsafe OpenFile.following(path, for: .traversal), let status = try? file.status() else {
      return nil
    }
    var mount = csystem_mount()
    // SAFETY: the structure outlives the call.
    let isKnown = unsafe csystem_find_mount(file.descriptor, 0, &mount) > 0
    return EnrollmentMount(
      account: store.account.nameText, path: path, isEnrolled: isEnrolled,
      reach: LockReach(of: file, device: status.device), mount: isKnown ? mount.id : 0)
  }

  /// The texts that a child process reports, for ``mount(in:of:isEnrolled:)``.
  static func texts(of mount: EnrollmentMount?) -> [String] {
    mount.map { ["\($0.reach.rawValue)", "\($0.mount)", $0.path] } ?? ["", "", ""]
  }

  static func mount(in texts: ArraySlice<String>, of account: String, isEnrolled: Bool) -> EnrollmentMount? {
    let start = texts.startIndex
    guard let reach = UInt8(texts[start]).flatMap(LockReach.init(rawValue:)) else { return nil }
    return EnrollmentMount(
      account: account, path: texts[start + 2], isEnrolled: isEnrolled, reach: reach,
      mount: UInt64(texts[start + 1]) ?? 0)
  }

  /// Tests a server with the state of an enrollment: whether it locks the file, and how its clock differs, by setting
  /// the modification time. Both tests have a time limit.
  static func tests(of enrollments: [EnrollmentMount], settings: HostSettings) -> [ServerTest] {
    let outcomes = BoundedWork.outcomes(count: enrollments.count) { index in
      let (error, difference) = test(enrollments[index], settings)
      return ["\(error.map(\.rawValue) ?? 0)", difference.map { "\($0)" } ?? ""]
    }
    return outcomes.map { outcome in
      guard case .done(let texts) = outcome, texts.count == 2, let number = Int32(texts[0]) else {
        return ServerTest(lock: .timedOut, difference: nil)
      }
      let lock = number == 0 ? ServerTest.Lock.works : .failed(Errno(rawValue: number))
      return ServerTest(lock: lock, difference: Double(texts[1]))
    }
  }

  private static func test(_ enrollment: EnrollmentMount, _ settings: HostSettings) -> (Errno?, Double?) {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    guard let account = try? UserAccount.existing(named: enrollment.account),
      let keeper = try? settings.owner.map({ try UserAccount.existing(named: $0) }) ?? account,
      (try? identity.assume(keeper, at: enrollment.path)) != nil
    else { return (nil, nil) }
    do throws(Errno) {
      // SAFETY: the path is NUL-terminated.
      let directory = try unsafe OpenFile.following(enrollment.path, for: .traversal)
      let state = try directory.open("state", for: .readWrite)
      return (state.lockError, state.serverDifference)
    } catch {
      // Reported by the other checks.
      return (nil, nil)
    }
  }
}

extension OpenFile {
  /// Asks whether the file could be locked (fcntl(2), F_OFD_GETLK). Nil if the server answers.
  fileprivate var lockError: Errno? { csystem_test_lock(descriptor) == 0 ? nil : .current }

  /// Lets the server set the file's times to its present. Returns by how many seconds its clock is ahead.
  fileprivate var serverDifference: Double? {
    let before = Self.now
    var status = stat()
    // Without times, futimens(3) sets the present of the server.
    guard futimens(descriptor, nil) == 0 else { return nil }
    // SAFETY: the structure outlives the call.
    guard unsafe fstat(descriptor, &status) == 0 else { return nil }
    let after = Self.now
    let time = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
    // The server chose the time between the two readings of the clock.
    return time < before ? time - before : time > after ? time - after : 0
  }

  private static var now: Double {
    var time = timespec()
    // SAFETY: the structure outlives the call.
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
