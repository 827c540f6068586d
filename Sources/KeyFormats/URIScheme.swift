import FixedMemory

/// The URIs in QR codes of apps for one-time codes.
enum URIScheme: String, CaseIterable {
  /// The Key URI Format of Google Authenticator.
  case otpauth
  /// Google Authenticator's export.
  case migration = "otpauth-migration"
  case steam
  case mobileOTP = "motp"
  case microsoft = "phonefactor"
  case duo
  case okta = "oktaverify"
  case authy
  case tiqr = "tiqrenroll"
  case privacyIDEA = "pia"

  /// Why its keys are unusable; nil if they are usable.
  var problem: FormatProblem? {
    switch self {
    case .otpauth, .migration: nil
    case .steam: .steam
    case .mobileOTP: .mobileOTP
    case .microsoft: Self.push("Microsoft Authenticator")
    case .duo: Self.push("Duo")
    case .okta: Self.push("Okta Verify")
    case .authy: Self.push("Authy")
    case .tiqr: Self.push("tiqr")
    case .privacyIDEA: Self.push("privacyIDEA")
    }
  }

  private static func push(_ app: String) -> FormatProblem {
    FormatProblem(
      "the URI is for the app of \(app) alone, and contains no key for codes",
      hint: "enroll another authenticator app there; its QR code begins with otpauth://")
  }

  /// Why the keys of an otpauth type are unusable; nil if the type is unknown.
  static func problem(ofType type: String) -> FormatProblem? {
    switch type {
    case "steam": .steam
    case "motp": .mobileOTP
    case "yaotp", "yandex": .yandex
    case "ocra": .ocra
    case "daypassword":
      FormatProblem("day passwords of privacyIDEA are not supported, because each is valid more than once")
    case "pipush", "push": push("privacyIDEA")
    case "battle", "battlenet", "blizzard":
      FormatProblem(
        "the type of Battle.net is not supported",
        hint: "its codes are those of otpauth://totp/ with digits=8: export it as such a URI")
    default: nil
    }
  }
}

/// The parameters of otpauth URIs, in lower case.
enum URIParameter {
  /// Those of the Key URI Format.
  static let understood: Set<String> = ["secret", "issuer", "algorithm", "digits", "period", "counter"]

  /// Those that change the codes.
  static let codeParameters = ["secret", "algorithm", "digits", "period", "counter"]

  /// Parameters of FreeOTP, Aegis, Ente Auth, Stratum, WinAuth, Bitwarden, privacyIDEA and others that only change how
  /// an app shows the account.
  static let harmless: Set<String> = [
    "account", "accountname", "background", "backgroundcolor", "category", "codedisplay", "color", "colour", "comment",
    "creator", "description", "domain", "favorite", "favourite", "foreground", "group", "icon", "iconcolor", "id",
    "image", "issueralt", "issuerext", "issuerint", "label", "labelalt", "labelcolor", "lock", "logo", "manufacturer",
    "mlabelalt", "model", "name", "note", "notes", "organization", "pinned", "position", "realm", "serial", "service",
    "tag", "tags", "thumbnail", "title", "url", "user", "username", "uuid", "version", "website",
  ]

  /// Why a parameter of another program makes the URI unusable; nil if nothing is known about it.
  static func problem(_ name: String, value: String, isCounter: Bool) -> FormatProblem? {
    switch name {
    case "2step_salt", "2step_output", "2step_difficulty":
      FormatProblem(
        "the parameter \(name) of privacyIDEA makes the app change the key",
        hint: "enroll without two-step enrollment, or enter the app's final key: twofactor enable --ask-key")
    case "encoder" where value.lowercased() == "steam", "steam": .steam
    case "pin", "pin_length": .pin
    case "ocrasuite", "suite", "challenge": .ocra
    // Some programs repeat the type.
    case "type" where value.lowercased() == (isCounter ? "hotp" : "totp"): nil
    case "count" where !isCounter: nil
    case "algo", "alg", "prf", "mode", "type", "key", "salt", "seed", "size", "length", "len", "count", "interval",
      "sha", "enc", "time", "ttl", "duration", "t", "base":
      changesCodes(name)
    default:
      looksLikeCodeParameter(name, value) ? changesCodes(name) : nil
    }
  }

  /// Why an unknown field of an app's export makes the account unusable; nil if nothing is known about it.
  static func problem(ofField name: String) -> FormatProblem? {
    let name = name.lowercased()
    guard !harmless.contains(name), problem(name, value: "", isCounter: true) != nil else { return nil }
    return changesCodes(name, kind: "field")
  }

  private static func changesCodes(_ name: String, kind: String = "parameter") -> FormatProblem {
    FormatProblem(
      isShowable(name)
        ? "the \(kind) \(name) may change the codes, and is unknown"
        : "a \(kind) that may change the codes is unknown")
  }

  /// Whether an unknown parameter may change the codes, by its name or value.
  private static func looksLikeCodeParameter(_ name: String, _ value: String) -> Bool {
    let parts =
      codeParameters + [
        "step", "digit", "hash", "hmac", "crypto", "encod", "offset", "skew", "epoch", "t0", "pin", "algo", "clock",
        "length", "interval", "drift", "format", "key", "refresh", "start", "trunc", "valid", "codelen", "otplen",
        "codesize", "otpsize", "factor", "seconds", "alphabet", "charset",
      ]
    let values = ["steam", "sha", "hmac", "md5"]
    let value = value.lowercased()
    // An invisible character must not hide a name.
    let name = String(String.UnicodeScalarView(name.unicodeScalars.filter { $0.isASCII && $0.value > 0x20 }))
    return parts.contains { name.containsBytes(of: $0) } || values.contains { value.utf8.starts(with: $0.utf8) }
  }

  /// Whether the name can be shown: printable, and too short for a key.
  static func isShowable(_ name: String) -> Bool {
    (1...15).contains(name.utf8.count)
      && name.utf8.allSatisfy {
        $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") || $0.decimalDigit != nil || $0 == UInt8(ascii: "_")
          || $0 == UInt8(ascii: "-")
      }
  }
}

extension FormatProblem {
  static let yandex = FormatProblem("codes of Yandex Key, which depend on its PIN, are not supported")
  static let mobileOTP = FormatProblem("codes of Mobile-OTP (mOTP), which depend on a PIN, are not supported")
  static let pin = FormatProblem("codes that depend on a PIN (parameter pin) are not supported")
  static let ocra = FormatProblem("OCRA, which answers challenges, is not supported")
}
