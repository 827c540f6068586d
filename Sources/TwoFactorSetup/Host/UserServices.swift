import CSystem
import Glibc
import HostAccess
import HostDoctor

/// The services of this host that users log in through, by what they require from one user.
struct UserServices {
  /// Ask for a code, whatever else they ask for.
  let asking: [String]
  /// Refuse the enrolled user even with right replies, and would let the user in without the enrollment.
  let refusing: [String]
  /// Let an enrolled user in, and would refuse the user without the enrollment.
  let requiringEnrollment: [String]
  /// Ask for a code, and would ask for the password alone without the enrollment.
  let passwordAlone: [String]
  /// Could not be evaluated. Includes folders that the user cannot read.
  let unknown: [String]

  /// Reads the stacks, and the configuration of sshd, with the permissions of this process.
  init(of account: UserAccount) {
    let services = UserLogins.all(of: account) { groups in groups.contains(where: account.belongs) }
      .filter { PAMService.isForLogins($0.service) }
    func names(_ isIncluded: (UserLogins) -> Bool) -> [String] {
      services.filter { $0.isKnown && isIncluded($0) }.map(\.service)
    }
    asking = names(\.asksForCode)
    refusing = names(\.refusesEnrolled)
    // Includes sshd even if its configuration is unreadable.
    requiringEnrollment = services.filter(\.requiresEnrollment).map(\.service)
    passwordAlone = names { $0.asksForCode && $0.acceptsPassword }
    let closedFolders = PAMService.folders.filter { $0.isAccessible(F_OK) && !$0.isAccessible(R_OK | X_OK) }
    unknown = closedFolders + services.filter { !$0.isKnown }.map(\.service)
  }

  /// Null if no service is known to ask, and some could not be evaluated.
  var json: JSONValue {
    asking.isEmpty && !unknown.isEmpty ? .null : .array(asking.map(JSONValue.string))
  }

  /// Shown after two-factor is enabled.
  func announcement(for user: String, columns: Int?) -> String {
    var text = ""
    let usable = asking.filter { !refusing.contains($0) }
    if !usable.isEmpty {
      text = Self.wrapped("Logins that will ask for a code: " + Self.list(usable), columns)
    } else if refusing.isEmpty, unknown.isEmpty {
      text =
        "No login on this host asks \(user) for a code yet.\nThe administrator can see why with: twofactor doctor\n"
    }
    if !refusing.isEmpty {
      text += Self.wrapped("Logins that refuse \(user) from now on: " + Self.list(refusing), columns)
      text += "The administrator can see why with: twofactor doctor\n"
    }
    if !unknown.isEmpty {
      text += Self.wrapped("Could not check whether these ask for a code: " + Self.list(unknown), columns)
      text += "The administrator can check them with: twofactor doctor\n"
    }
    return text
  }

  /// Shown by `status`.
  func statusLines(columns: Int?) -> String {
    var text = ""
    if !asking.isEmpty || unknown.isEmpty {
      text = Self.row("Services:", asking.isEmpty ? "none asks for a code" : Self.list(asking), columns)
    }
    if !refusing.isEmpty { text += Self.row("Refused by:", Self.list(refusing), columns) }
    if !unknown.isEmpty { text += Self.row("Not checked:", Self.list(unknown), columns) }
    return text
  }

  /// Empty if no service asks for the password alone after two-factor is disabled.
  func passwordAloneLine(columns: Int?) -> String {
    passwordAlone.isEmpty
      ? "" : Self.wrapped("From now on the password alone is enough for: " + Self.list(passwordAlone), columns)
  }

  private static func list(_ services: [String]) -> String { services.map(\.printable).joined(separator: ", ") }

  private static func wrapped(_ text: String, _ columns: Int?) -> String {
    (columns.map { PageText.wrapped(text, columns: $0).joined(separator: "\n") } ?? text) + "\n"
  }

  private static func row(_ title: String, _ text: String, _ columns: Int?) -> String {
    let margin = 15
    let lines = columns.map { PageText.wrapped(text, columns: $0 - margin) } ?? [text]
    return title.padded(to: margin) + lines.joined(separator: "\n" + "".padded(to: margin)) + "\n"
  }
}

extension UserAccount {
  /// Whether the account belongs to a group, given by name or number. Returns false if the lookup fails.
  fileprivate func belongs(to group: String) -> Bool {
    var groups: UnsafeMutablePointer<gid_t>?
    // SAFETY: the strings are NUL-terminated; the array has `count` groups, and is freed.
    let count = unsafe csystem_account_groups(nameText, groupID, &groups)
    defer { unsafe free(groups) }
    var number: gid_t = 0
    var listsAccount: Int32 = 0
    guard count >= 0, unsafe csystem_find_group(group, nameText, &number, &listsAccount) > 0 else { return false }
    let isListed = unsafe UnsafeBufferPointer(start: groups, count: Int(count)).contains(number)
    return isListed || listsAccount != 0
  }
}
