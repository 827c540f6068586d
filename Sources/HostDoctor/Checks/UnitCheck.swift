import HostAccess

/// Finds units of login programs whose sandbox hides the homes (`ProtectHome=`, systemd.exec(5)).
struct UnitCheck {
  let tree: HostTree
  /// Services with a rule of the module that looks for enrollments in the homes.
  let services: Set<String>

  private static let name = "protect_home"
  private static let maximumUnits = 4_096

  /// The PAM services of programs that do not have their name.
  private static let servicesOfPrograms: [String: [String]] = [
    "agetty": ["login"], "gdm": ["gdm-password"], "gdm3": ["gdm-password"], "freeradius": ["radiusd"],
    "cockpit-ws": ["cockpit"], "cockpit-tls": ["cockpit"], "smbd": ["samba"], "postgres": ["postgresql"],
    "saslauthd": ["smtp", "imap", "pop", "sieve", "ldap"], "cupsd": ["cups"],
  ]

  var findings: [Finding] {
    guard !services.isEmpty else { return [] }
    let folders = SystemUnits.folders.map { (path: $0, names: tree.names(in: $0)) }
    let dropInFolders = folders.reversed().flatMap { folder in
      folder.names.filter { $0.hasSuffix(".service.d") || $0 == "service.d" }.map { (path: folder.path, name: $0) }
    }
    var seen: Set<String> = []
    var findings: [Finding] = []
    for folder in folders {
      for unit in folder.names where unit.hasSuffix(".service") && seen.count < Self.maximumUnits {
        guard seen.insert(unit).inserted else { continue }
        let texts = (["\(folder.path)/\(unit)"] + dropIns(of: unit, dropInFolders)).compactMap { path in
          tree.text(of: path).map { (path, $0) }
        }
        guard texts.contains(where: { $0.1.contains("ProtectHome") }) else { continue }
        if let finding = finding(unit, texts.flatMap(settings)) { findings.append(finding) }
      }
    }
    return findings
  }

  /// `lines` are the settings of the unit and its drop-ins, the highest precedence last.
  private func finding(_ unit: String, _ lines: [Line]) -> Finding? {
    guard let setting = lines.last(where: { $0.key == "ProtectHome" }),
      let service = self.services(of: unit, lines).sorted().first(where: services.contains)
    else { return nil }
    let effect: String
    switch setting.value {
    case "yes", "true", "on", "1":
      effect = "hides the homes from the service \(service): every user is refused, enrolled or not"
    case "tmpfs":
      guard !isExcepted("BindPaths", in: lines) else { return nil }
      effect = "hides the homes from the service \(service): every user is refused, enrolled or not"
    case "read-only":
      guard !isExcepted("ReadWritePaths", in: lines) else { return nil }
      effect = "does not let the service \(service) write to the homes: every enrolled user is refused"
    default: return nil
    }
    let value = "ProtectHome=no"
    let dropIn = "/etc/systemd/system/\(unit).d/twofactor.conf"
    let edit =
      setting.file.hasPrefix("/etc/")
      ? "in \(setting.file), line \(setting.line): \(value)" : "in \(dropIn): [Service]\nin \(dropIn): \(value)"
    return .failed(
      Self.name, "\(setting.file), line \(setting.line): ProtectHome=\(setting.value) \(effect)",
      remedy: "\(edit)\nsystemctl daemon-reload && systemctl try-restart '\(unit)'")
  }

  private func services(of unit: String, _ lines: [Line]) -> Set<String> {
    let name = unit.prefix { $0 != "@" }
    var names: Set<String> = [name.hasSuffix(".service") ? String(name.dropLast(".service".count)) : String(name)]
    for line in lines where line.key == "ExecStart" {
      let program = line.value.drop { "@-:+!".contains($0) }.prefix { $0 != " " }
      names.insert(program.split(separator: "/").last.map(String.init) ?? "")
    }
    return names.union(names.flatMap { Self.servicesOfPrograms[$0] ?? [] })
  }

  private func isExcepted(_ key: String, in lines: [Line]) -> Bool {
    lines.contains { line in
      line.key == key
        && line.value.split(separator: " ").contains { $0.drop { "-+".contains($0) }.hasPrefix("/home") }
    }
  }

  // MARK: The settings

  private struct Line {
    let file: String
    let line: Int
    let key: String
    let value: String
  }

  /// By file name: a file replaces those of the same name in folders of lower precedence. `folders`: the lowest first.
  private func dropIns(of unit: String, _ folders: [(path: String, name: String)]) -> [String] {
    let template = unit.firstIndex(of: "@").map { unit[...$0] }
    var files: [String: String] = [:]
    for (path, name) in folders
    where name == "service.d" || name == unit + ".d" || template.map(name.hasPrefix) == true {
      for file in tree.names(in: "\(path)/\(name)") where file.hasSuffix(".conf") {
        files[file] = "\(path)/\(name)/\(file)"
      }
    }
    return files.sorted { $0.key < $1.key }.map(\.value)
  }

  /// The settings in the section `Service`.
  private func settings(of file: String, _ text: String) -> [Line] {
    var isService = false
    return HostTree.lines(text).enumerated().compactMap { index, line in
      if line.hasPrefix("[") { isService = line.hasPrefix("[Service]") }
      let parts = line.split(separator: "=", maxSplits: 1)
      guard isService, parts.count == 2, !line.hasPrefix("#"), !line.hasPrefix(";") else { return nil }
      return Line(
        file: file, line: index + 1, key: parts[0].trimmingBlanks.description,
        value: parts[1].trimmingBlanks.description)
    }
  }
}
