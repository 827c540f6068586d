import FixedMemory

/// The columns of a seed file, named by its header.
struct SeedColumns {
  private(set) var columns: [CSVColumn] = []
  /// By index: the names of columns that may change the codes, and are not understood.
  private(set) var doubtful: [Int: String] = [:]
  /// The names of other columns that are ignored.
  private(set) var ignored: [String] = []

  /// Without a header.
  init(_ columns: [CSVColumn]) { self.columns = columns }

  /// Nil if the names contain no key, so that the record is no header.
  ///
  /// - Throws: ``FormatProblem`` if two columns have the same meaning.
  init?(header names: [String]) throws(FormatProblem) {
    let found = names.map { Self.column(named: $0) }
    guard found.contains(where: { $0?.isKey == true }) else { return nil }
    for (index, name) in names.enumerated() {
      var column = found[index] ?? .other
      // A vague name, such as "token", gives way to a clear one.
      if column != .other, Self.isVague(name),
        names.indices.contains(where: { $0 != index && found[$0] == column && !Self.isVague(names[$0]) })
      {
        column = .other
      }
      if column != .other, columns.contains(where: { $0 == column || $0.isKey && column.isKey }) {
        throw FormatProblem(
          "its header names \(column.isKey ? "a key" : column.rawValue) twice",
          hint: "name the columns, with - for one to ignore: --columns \(CSVColumn.example)")
      }
      columns.append(column)
      let isMode = column == .other && found[index] == .type
      guard found[index] == nil || isMode, !name.isEmpty else { continue }
      let shown = Self.mayBeKey(name) ? "column \(index + 1)" : String(name.printable.prefix(32))
      if isMode || Self.mayChangeCodes(name) {
        doubtful[index] = shown
      } else if !Self.isHarmless(name) {
        ignored.append(shown)
      }
    }
  }

  /// Nil if unknown. Ignores case, and everything but letters and digits.
  static func column(named name: String) -> CSVColumn? {
    var words = Self.words(of: name).joined()
    var encoded = CSVColumn.key
    for (word, column) in encodings {
      guard let part = words.firstRange(of: word) else { continue }
      words.removeSubrange(part)
      encoded = column
      break
    }
    guard let column = words.isEmpty && encoded != .key ? .key : names[words] else { return nil }
    return column == .key ? encoded : encoded == .key ? column : nil
  }

  private static let encodings: [(String, CSVColumn)] = [
    ("hexadecimal", .hexKey), ("hex", .hexKey), ("base32", .base32Key), ("b32", .base32Key), ("base64", .base64Key),
    ("b64", .base64Key),
  ]

  private static let names: [String: CSVColumn] = {
    let lists: [(CSVColumn, String)] = [
      (
        .serial,
        "serial serialnumber serialno serialnr serialid sn tokenserial tokenserialnumber tokensn tokenid tokennumber "
          + "token deviceserial deviceserialnumber deviceid hardwareserial id"
      ),
      (
        .key,
        "key secret seed secretkey sharedsecret seedkey secretseed seedvalue keyvalue tokenkey tokensecret tokenseed "
          + "otpkey otpsecret otpseed oathkey oathsecret oathseed hmackey totpsecret totpkey hotpsecret hotpkey"
      ),
      (.type, "type tokentype otptype oathtype otpmode mode"),
      (
        .period,
        "period timestep timesteps timestepsec timestepseconds timeinterval timeintervalseconds timeintervalsec "
          + "timeintervalinseconds timeintervals interval intervalseconds step stepsize timeperiod otpinterval "
          + "otpperiod totpperiod tokeninterval refreshinterval timestepinseconds periodseconds"
      ),
      (
        .digits,
        "digits digit length otplength otplen otpdigits codelength codedigits numberofdigits responselength "
          + "outputlength"
      ),
      (
        .counter,
        "counter movingfactor eventcounter initialcounter startcounter startingcounter hotpcounter oathcounter "
          + "counterstart countervalue currentcounter"
      ),
      (
        .algorithm,
        "algorithm algo hash hashalgorithm hashfunction hashlib hmac hmacalgorithm hashtype hashalgo otpalgorithm "
          + "digest"
      ),
      (.issuer, "issuer"),
      (
        .account,
        "account accountname user username userid userlogin upn userprincipalname login loginname loginid assignedto "
          + "owner samaccountname uid"
      ),
    ]
    var names: [String: CSVColumn] = [:]
    for (column, list) in lists { for name in list.split(separator: " ") { names[String(name)] = column } }
    return names
  }()

  private static func isVague(_ name: String) -> Bool {
    ["token", "tokenid", "tokennumber", "id", "deviceid", "uid", "userid", "owner", "mode"].contains(
      words(of: name).joined())
  }

  /// Whether the name is rather a key, which must not be shown.
  private static func mayBeKey(_ name: String) -> Bool {
    name.utf8.count >= 16 && !name.utf8.contains(where: \.isBlank) && name.utf8.contains { $0.decimalDigit != nil }
  }

  /// Whether the name has a word for a parameter of the codes, or for a text that the user types beside the code.
  private static func mayChangeCodes(_ name: String) -> Bool {
    let changing: Set<String> = [
      "algo", "algorithm", "alphabet", "challenge", "checksum", "cipher", "counter", "delta", "difficulty", "digest",
      "digit", "digits", "drift", "encoder", "encoding", "encrypted", "encryption", "epoch", "factor", "format", "hash",
      "hmac", "interval", "iterations", "key", "len", "length", "mode", "ocra", "ocrasuite", "offset", "period", "pin",
      "prefix", "refresh", "salt", "seconds", "secret", "seed", "size", "skew", "step", "suffix", "suite", "t0",
      "truncation",
    ]
    return words(of: name).contains { changing.contains($0) }
  }

  /// Names of vendors' files that need no remark.
  private static func isHarmless(_ name: String) -> Bool {
    let harmless: Set<String> = [
      "manufacturer", "vendor", "model", "product", "batch", "notes", "note", "comment", "description", "date",
      "expiry", "expiration", "status", "name",
    ]
    return words(of: name).contains { harmless.contains($0) }
  }

  /// Splits at everything but letters and digits, and before capitals; in lower case.
  private static func words(of name: String) -> [String] {
    var words: [String] = []
    var previous: UInt8?
    for byte in name.utf8 {
      let letter = byte.lowercased
      let isCapital = letter != byte
      guard (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter) || byte.decimalDigit != nil else {
        previous = nil
        continue
      }
      let startsWord = previous.map { isCapital && $0 == $0.lowercased } ?? true
      if startsWord { words.append("") }
      words[words.count - 1].unicodeScalars.append(Unicode.Scalar(letter))
      previous = byte
    }
    return words
  }
}

extension CSVColumn {
  static var example: String { "serial,key" }

  package var isKey: Bool { [.key, .hexKey, .base32Key, .base64Key].contains(self) }
}
