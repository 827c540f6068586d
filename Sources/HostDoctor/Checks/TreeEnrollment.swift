import Enrollment
import FixedMemory
import Glibc
import HostAccess

/// Looks at the enrolments in a tree: owner, mode and format of what lies there, with nothing opened but the
/// credential.
package struct TreeEnrollment {
  /// Something that no login gets past, and how to take it out of the way.
  package struct Obstacle {
    package let text: String
    /// The command that mends it.
    package let remedy: String

    package init(_ text: String, remedy: String) {
      self.text = text
      self.remedy = remedy
    }
  }

  let tree: HostTree
  let settings: HostSettings

  package init(tree: HostTree, settings: HostSettings) {
    self.tree = tree
    self.settings = settings
  }

  package func findings(of accounts: [TreeAccount]) -> [Finding] {
    var findings: [Finding] = []
    var enrolled: [EnrolledDirectory] = []
    for account in accounts {
      let directory = directory(of: account)
      if directory.hasPrefix(account.home + "/") {
        guard tree.status(of: account.home) != nil else {
          // A tree seldom has the homes of a host, which may lie on another disk.
          findings.append(.skipped("home", "\(account.name): \(account.home) is not in this tree"))
          continue
        }
        if let obstacle = homeObstacle(account) {
          findings.append(.home(account.name, obstacle))
          continue
        }
      }
      guard let status = tree.ownStatus(of: directory) else { continue }
      enrolled.append(EnrolledDirectory(account: account.name, path: directory))
      findings += obstacles(directory, status, account).map { .enrollment(account.name, $0) }
    }
    findings += SELinuxCheck(tree: tree).findings(of: enrolled)
    return [.ok("enrollments", "\(enrolled.count) of \(accounts.count) accounts that may log in are enrolled")]
      + findings
  }

  /// What no login of an account gets past in its enrolment.
  package func obstacles(of account: TreeAccount) -> [Obstacle] {
    let directory = directory(of: account)
    return tree.ownStatus(of: directory).map { obstacles(directory, $0, account) } ?? []
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

  /// What no login of an account gets past in its home; nil where there is nothing.
  package func homeObstacle(_ account: TreeAccount) -> Obstacle? {
    let home = account.home
    guard let status = tree.status(of: home) else {
      let disk = unmountedDisk(of: home)
      return Obstacle(
        "\(home) is not there" + (disk.map { ": \($0) is not mounted" } ?? ""),
        remedy: disk.map { "mount \($0)" }
          ?? "make the home, or keep enrolments outside the homes: directory = /var/lib/twofactor/%u, in \(HostSettings.path)"
      )
    }
    if status.st_mode & S_IFMT != S_IFDIR { return Obstacle("\(home) is not a directory", remedy: "make it one") }
    if status.st_mode & 0o022 != 0 {
      return Obstacle("\(home) can be written by others", remedy: "chmod go-w \(home)")
    }
    if status.st_uid != account.userID {
      return Obstacle("\(home) is not the user's own", remedy: "chown \(account.name) \(home)")
    }
    return nil
  }

  /// Where /etc/fstab has the disk of a path, when there is nothing mounted.
  private func unmountedDisk(of path: String) -> String? {
    let places = (tree.text(of: "/etc/fstab") ?? "").split(separator: "\n").compactMap { line -> String? in
      let fields = line.split { $0 == " " || $0 == "\t" }.map(String.init)
      guard fields.count >= 2, !fields[0].hasPrefix("#"), fields[1].hasPrefix("/"), fields[1] != "/" else { return nil }
      return fields[1]
    }
    return places.filter { path == $0 || path.hasPrefix($0 + "/") }.max { $0.count < $1.count }
  }

  private func obstacles(_ directory: String, _ status: stat, _ account: TreeAccount) -> [Obstacle] {
    let again = "twofactor enable --force --user \(account.name)"
    guard status.st_mode & S_IFMT == S_IFDIR else {
      return [
        Obstacle(
          "\(directory) is not a directory", remedy: "rm \(directory) && twofactor enable --user \(account.name)")
      ]
    }
    if status.st_uid != account.userID, status.st_uid != tree.administrator {
      return [Obstacle("\(directory) is owned by somebody else", remedy: "chown -hR \(account.name): \(directory)")]
    }
    if status.st_mode & 0o022 != 0 {
      return [Obstacle("\(directory) can be written by others", remedy: "chmod 700 \(directory)")]
    }
    let owner = status.st_uid == account.userID ? account.name : "root"
    let files = ["credential", "state"].compactMap {
      file(directory + "/" + $0, ownerID: status.st_uid, owner: owner, again: again)
    }
    guard files.isEmpty else { return files }
    return credential(directory + "/credential").map { [Obstacle($0, remedy: again)] } ?? []
  }

  private func file(_ path: String, ownerID: uid_t, owner: String, again: String) -> Obstacle? {
    guard let status = tree.ownStatus(of: path) else { return Obstacle("\(path) is missing", remedy: again) }
    if status.st_mode & S_IFMT != S_IFREG { return Obstacle("\(path) is not a regular file", remedy: again) }
    if status.st_uid != ownerID {
      return Obstacle("\(path) is owned by somebody else", remedy: "chown \(owner): \(path)")
    }
    if status.st_nlink > 1 {
      return Obstacle(
        "\(path) has another name", remedy: "remove the name that is not it: find / -xdev -samefile \(path)")
    }
    if status.st_mode & 0o077 != 0 { return Obstacle("\(path) is open to others", remedy: "chmod 600 \(path)") }
    return nil
  }

  private func credential(_ path: String) -> String? {
    guard let bytes = tree.bytes(of: path, upTo: Credential.maximumLength + 1) else { return "\(path) cannot be read" }
    guard bytes.count <= Credential.maximumLength, var text = SecretBuffer(capacity: max(bytes.count, 1)) else {
      return "\(path) is too long"
    }
    if let version = Self.version(bytes), version < Self.currentVersion {
      return "\(path) is of an older format, \(version), and the module reads \(Self.currentVersion)"
    }
    for byte in bytes { _ = text.append(byte) }
    do throws(EnrollmentFailure) {
      _ = try Credential(parsing: text)
      return nil
    } catch {
      var words = ByteText(capacity: 255)
      error.describe(into: &words)
      return "\(path): \(String(decoding: words.bytes))"
    }
  }

  /// The version of the format that the module reads (pam/credential-format.md).
  private static let currentVersion = 1

  /// The version that a credential's first line names.
  private static func version(_ bytes: [UInt8]) -> Int? {
    let line = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    let prefix = "twofactor-credential "
    return line.hasPrefix(prefix) ? Int(line.dropFirst(prefix.count)) : nil
  }

  /// What stands in the way of writing in a directory of this host; nil where nothing does.
  package static func diskProblem(_ directory: String) -> (text: String, isFatal: Bool)? {
    var disk = statvfs()
    guard unsafe statvfs(directory, &disk) == 0 else { return nil }
    if disk.f_flag & UInt(ST_RDONLY) != 0 { return ("is on a file system that is mounted read-only", true) }
    if disk.f_blocks > 0, disk.f_bavail == 0 { return ("is on a file system that is full", false) }
    if disk.f_files > 0, disk.f_favail == 0 { return ("is on a file system without free inodes", false) }
    return nil
  }
}

extension Finding {
  /// Somebody whose enrolment no login can use.
  package static func enrollment(_ name: String, _ obstacle: TreeEnrollment.Obstacle) -> Finding {
    .failed("enrollment", "\(name) cannot log in: \(obstacle.text)", remedy: obstacle.remedy)
  }

  /// Somebody whose home says nothing. That is not proof of anything, so it is a refusal.
  package static func home(_ name: String, _ obstacle: TreeEnrollment.Obstacle) -> Finding {
    .warning("home", "\(name) cannot log in, enrolled or not: \(obstacle.text)", remedy: obstacle.remedy)
  }
}
