import Enrollment
import FixedMemory
import Glibc

/// Looks at the enrolments in a tree: owner, mode and format of what lies there, with nothing opened but the
/// credential.
struct TreeEnrollment {
  let tree: HostTree
  let settings: HostSettings

  func findings(of accounts: [TreeAccount]) -> [Finding] {
    var findings: [Finding] = []
    var enrolled = 0
    for account in accounts {
      let directory = directory(of: account)
      if directory.hasPrefix(account.home + "/"), let problem = homeProblem(account) {
        findings.append(problem)
        continue
      }
      guard let status = tree.ownStatus(of: directory) else { continue }
      enrolled += 1
      findings += problems(directory, status, account).map {
        .failed(
          "enrollment", "\(account.name) cannot log in: \($0)",
          remedy: "mend owner and mode, or make a new one: twofactor enable --force --user \(account.name)")
      }
    }
    return [.ok("enrollments", "\(enrolled) of \(accounts.count) accounts that may log in are enrolled")] + findings
  }

  /// The template filled in.
  private func directory(of account: TreeAccount) -> String {
    var path = ""
    var isPercent = false
    for character in settings.directoryTemplate {
      if isPercent {
        path += character == "h" ? account.home : character == "u" ? account.name : String(character)
        isPercent = false
      } else if character == "%" {
        isPercent = true
      } else if character == "~", path.isEmpty {
        path = account.home
      } else {
        path.append(character)
      }
    }
    return path
  }

  private func homeProblem(_ account: TreeAccount) -> Finding? {
    let remedy = "mend the home \(account.home), or keep enrolments outside the homes with directory="
    guard let home = tree.status(of: account.home) else {
      // A tree seldom has the homes of a host, which may lie on another disk.
      return .skipped("home", "\(account.name): \(account.home) is not in this tree")
    }
    let problem: String? =
      if home.st_mode & S_IFMT != S_IFDIR {
        "is not a directory"
      } else if home.st_mode & 0o022 != 0 {
        "can be written by others"
      } else if home.st_uid != account.userID {
        "is not the user's own"
      } else {
        nil
      }
    return problem.map {
      .warning("home", "\(account.name) cannot log in, enrolled or not: \(account.home) \($0)", remedy: remedy)
    }
  }

  private func problems(_ directory: String, _ status: stat, _ account: TreeAccount) -> [String] {
    guard status.st_mode & S_IFMT == S_IFDIR else { return ["\(directory) is not a directory"] }
    if status.st_uid != account.userID, status.st_uid != tree.administrator {
      return ["\(directory) is owned by somebody else"]
    }
    if status.st_mode & 0o022 != 0 { return ["\(directory) can be written by others"] }
    let files = ["credential", "state"].compactMap { file(directory + "/" + $0, owner: status.st_uid) }
    guard files.isEmpty else { return files }
    return credential(directory + "/credential").map { [$0] } ?? []
  }

  private func file(_ path: String, owner: uid_t) -> String? {
    guard let status = tree.ownStatus(of: path) else { return "\(path) is missing" }
    if status.st_mode & S_IFMT != S_IFREG { return "\(path) is not a regular file" }
    if status.st_uid != owner { return "\(path) is owned by somebody else" }
    if status.st_nlink > 1 { return "\(path) has another name" }
    if status.st_mode & 0o077 != 0 { return "\(path) is open to others" }
    return nil
  }

  private func credential(_ path: String) -> String? {
    guard let bytes = tree.bytes(of: path, upTo: Credential.maximumLength + 1) else { return "\(path) cannot be read" }
    guard bytes.count <= Credential.maximumLength, var text = SecretBuffer(capacity: max(bytes.count, 1)) else {
      return "\(path) is too long"
    }
    for byte in bytes { _ = text.append(byte) }
    do throws(EnrollmentFailure) {
      _ = try Credential(parsing: text)
      return nil
    } catch {
      var words = ByteText<256>()
      error.describe(into: &words)
      return "\(path): \(String(decoding: words.bytes))"
    }
  }

  /// What stands in the way of writing in a directory of this host; nil where nothing does.
  static func diskProblem(_ directory: String) -> (text: String, isFatal: Bool)? {
    var disk = statvfs()
    guard unsafe statvfs(directory, &disk) == 0 else { return nil }
    if disk.f_flag & UInt(ST_RDONLY) != 0 { return ("is on a file system that is mounted read-only", true) }
    if disk.f_blocks > 0, disk.f_bavail == 0 { return ("is on a file system that is full", false) }
    if disk.f_files > 0, disk.f_favail == 0 { return ("is on a file system without free inodes", false) }
    return nil
  }
}
