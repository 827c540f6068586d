import Enrollment
import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// Checks owner, mode and format of the files of enrollments. Opens only credentials.
package struct TreeEnrollment {
  /// Why every login of an account fails.
  package struct Obstacle {
    package let text: String
    package let remedy: String

    package init(_ text: String, remedy: String) {
      self.text = text
      self.remedy = remedy
    }
  }

  package static let outsideHomes =
    "keep enrollments outside the homes: directory = /var/lib/twofactor/%u, in \(HostSettings.path)"

  let tree: HostTree
  let settings: HostSettings

  package init(tree: HostTree, settings: HostSettings) {
    self.tree = tree
    self.settings = settings
  }

  package func findings(of accounts: [TreeAccount]) -> [Finding] {
    var findings: [Finding] = []
    var enrolled: [EnrolledDirectory] = []
    let register = RegisterCheck(tree: tree)
    let homes = HomeCheck(tree: tree)
    for account in accounts {
      do throws(EnrollmentFailure) {
        let (directory, isBelowHome) = try account.enrollment(template: settings.directoryTemplate)
        if isBelowHome {
          guard tree.status(of: account.home) != nil else {
            // Images seldom contain the homes, which may be on another disk.
            findings.append(.skipped("home", "\(account.name): \(account.home) is not in this tree"))
            continue
          }
          if let obstacle = homeObstacle(account) {
            findings.append(.home(account.name, obstacle))
            continue
          }
        }
        guard tree.ownStatus(of: directory) != nil else {
          if register.names(account) {
            findings.append(.enrollment(account.name, missing(account, directory)))
          }
          continue
        }
        enrolled.append(EnrolledDirectory(account: account.name, path: directory))
        findings += obstacles(of: account, in: directory).map { .enrollment(account.name, $0) }
        if isBelowHome, let home = homes.finding(of: account) { findings.append(home) }
      } catch {
        findings.append(
          .home(account.name, Obstacle(Self.words(error), remedy: "correct directory, in \(HostSettings.path)")))
      }
    }
    findings += SELinuxCheck(tree: tree).findings(of: enrolled)
    return [.ok("enrollments", "\(enrolled.count) of \(accounts.count) accounts that may log in are enrolled")]
      + findings
  }

  package func homeObstacle(_ account: TreeAccount) -> Obstacle? {
    let home = account.home
    guard let status = tree.status(of: home) else {
      let mount = unmountedMount(of: home)
      return Obstacle(
        "\(home) does not exist" + (mount.map { ": \($0) is not mounted" } ?? ""),
        remedy: mount.map { "mount \($0)" }
          ?? "create it, or \(Self.outsideHomes)"
      )
    }
    if !status.isDirectory {
      return Obstacle("\(home) is not a directory", remedy: "replace it with a directory")
    }
    if status.isWritableByOthers {
      return Obstacle("\(home) is writable by others", remedy: "chmod go-w \(home)")
    }
    if status.owner != account.userID {
      return Obstacle("\(home) is not owned by the user", remedy: "chown \(account.name) \(home)")
    }
    if tree.hidesNames(home) {
      return Obstacle(
        "\(home) is encrypted with fscrypt, and its key is absent",
        remedy: "fscrypt unlock \(home)\nor \(Self.outsideHomes)")
    }
    return nil
  }

  /// The mount point in fstab(5) of a path that does not exist.
  private func unmountedMount(of path: String) -> String? {
    let mounts = tree.lines(of: "/etc/fstab").compactMap { line -> String? in
      let fields = line.split { $0 == " " || $0 == "\t" }.map(String.init)
      guard fields.count >= 2, !fields[0].hasPrefix("#"), fields[1].hasPrefix("/"), fields[1] != "/" else { return nil }
      return fields[1]
    }
    return mounts.filter { path == $0 || path.hasPrefix($0 + "/") }.max { $0.count < $1.count }
  }

  /// Empty if the directory does not exist.
  package func obstacles(of account: TreeAccount, in directory: String) -> [Obstacle] {
    guard let status = tree.ownStatus(of: directory) else { return [] }
    if let violation = TrustRule.directory(of: account.userID, allowsSticky: false).violation(of: status) {
      let remedy =
        switch violation {
        case .notDirectory, .notRegularFile: "rm \(directory) && twofactor enable --user \(account.name)"
        case .foreignOwner: "chown -hR \(account.name): \(directory)"
        case .writableByOthers, .accessibleByOthers, .hardLinked: "chmod 700 \(directory)"
        }
      return [Obstacle("\(directory) \(String(decoding: violation.text.bytes))", remedy: remedy)]
    }
    let again = "twofactor enable --force --user \(account.name)"
    let owner = status.owner == account.userID ? account.name : "root"
    let files = ["credential", "state"].compactMap {
      file(directory + "/" + $0, ownerID: status.owner, owner: owner, again: again)
    }
    guard files.isEmpty else { return files }
    return credential(directory + "/credential").map { [Obstacle($0, remedy: again)] } ?? []
  }

  private func file(_ path: String, ownerID: UserID, owner: String, again: String) -> Obstacle? {
    guard let status = tree.ownStatus(of: path) else { return Obstacle("\(path) is missing", remedy: again) }
    guard let violation = TrustRule.privateFile(of: ownerID).violation(of: status) else { return nil }
    let remedy =
      switch violation {
      case .notRegularFile, .notDirectory: again
      case .foreignOwner: "chown \(owner): \(path)"
      case .hardLinked: "remove the name that does not belong: find / -xdev -samefile \(path)"
      case .accessibleByOthers, .writableByOthers: "chmod 600 \(path)"
      }
    return Obstacle("\(path) \(String(decoding: violation.text.bytes))", remedy: remedy)
  }

  private func credential(_ path: String) -> String? {
    guard let bytes = tree.bytes(of: path, upTo: Credential.maximumLength + 1) else { return "\(path) cannot be read" }
    guard bytes.count <= Credential.maximumLength, var text = SecretBuffer(capacity: max(bytes.count, 1)) else {
      return "\(path) is too long"
    }
    if let version = Self.version(bytes), version < Self.currentVersion {
      return "\(path) has the older format \(version); the module reads \(Self.currentVersion)"
    }
    _ = text.append(bytes.span)
    do throws(EnrollmentFailure) {
      _ = try Credential(parsing: text)
      return nil
    } catch {
      return "\(path): \(Self.words(error))"
    }
  }

  private static func words(_ failure: EnrollmentFailure) -> String {
    var words = ByteText(capacity: 255)
    failure.describe(into: &words)
    return String(decoding: words.bytes)
  }

  /// See pam/credential-format.md.
  private static let currentVersion = 1

  private static func version(_ bytes: [UInt8]) -> Int? {
    let line = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    let prefix = "twofactor-credential "
    return line.hasPrefix(prefix) ? Int(line.dropFirst(prefix.count)) : nil
  }

  /// Why the directory is not writable (statvfs(3)).
  package static func diskProblem(_ directory: String) -> (text: String, isFatal: Bool)? {
    var disk = statvfs()
    // SAFETY: the string is NUL-terminated, and the structure outlives the call.
    guard unsafe statvfs(directory, &disk) == 0 else { return nil }
    if disk.f_flag & UInt(ST_RDONLY) != 0 { return ("is on a file system that is mounted read-only", true) }
    if disk.f_blocks > 0, disk.f_bavail == 0 { return ("is on a file system that is full", false) }
    if disk.f_files > 0, disk.f_favail == 0 { return ("is on a file system without free inodes", false) }
    return nil
  }
}

extension Finding {
  package static func enrollment(_ name: String, _ obstacle: TreeEnrollment.Obstacle) -> Finding {
    .failed("enrollment", "\(name) cannot log in: \(obstacle.text)", remedy: obstacle.remedy)
  }

  /// The module refuses logins if the home does not show whether the user is enrolled.
  package static func home(_ name: String, _ obstacle: TreeEnrollment.Obstacle) -> Finding {
    .warning("home", "\(name) cannot log in, enrolled or not: \(obstacle.text)", remedy: obstacle.remedy)
  }
}
