/// The folders of systemd units, in order of precedence (systemd.unit(5)).
enum SystemUnits {
  static let folders = [
    "/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system", "/lib/systemd/system",
  ]
}

/// Units that mount file systems at boot or at the first access (systemd.mount(5), systemd.automount(5)).
struct MountUnits {
  let tree: HostTree

  /// Whether another unit wants or requires the mount.
  func isEnabled(_ path: String) -> Bool {
    let names = [Self.escaped(path) + ".mount", Self.escaped(path) + ".automount"]
    return SystemUnits.folders.contains { folder in
      tree.names(in: folder).contains { entry in
        (entry.hasSuffix(".wants") || entry.hasSuffix(".requires"))
          && names.contains { tree.ownStatus(of: "\(folder)/\(entry)/\($0)") != nil }
      }
    }
  }

  /// As systemd-escape(1) with `--path`.
  static func escaped(_ path: String) -> String {
    let bytes = path.utf8.split(separator: UInt8(ascii: "/")).joined(separator: [UInt8(ascii: "/")])
    return bytes.enumerated().map { index, byte -> String in
      let character = Character(Unicode.Scalar(byte))
      switch byte {
      case UInt8(ascii: "/"): return "-"
      case UInt8(ascii: ".") where index > 0, UInt8(ascii: "_"), UInt8(ascii: ":"): return String(character)
      case _ where byte < 0x80 && (character.isLetter || character.isNumber): return String(character)
      default: return "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }.joined()
  }
}
