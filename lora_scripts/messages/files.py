"""Texts about files that a library opens: office documents, PDF, Parquet, Arrow."""

TEXTS: dict[str, tuple[str, str]] = {
    "broken_file": ("this {kind} file cannot be read: {error}", "{kind} 文件读不出来：{error}"),
    "broken_file.fix": (
        "open it in its program (without a password) and save it again, or export it as CSV or text (UTF-8)",
        "请用原来的程序打开（去掉密码）重新保存，或导出为 CSV 或文本（UTF-8）",
    ),
    "too_big_inside": (
        "this {kind} file unpacks to {size} MB, far more than such a file holds (at most {most} MB)",
        "这个 {kind} 文件解开后有 {size} MB，远超正常大小（上限 {most} MB）",
    ),
    "too_big_inside.fix": ("export what you need as CSV or text", "请把需要的内容导出为 CSV 或文本"),
    "too_big": ("the file has {size} MB; at most {most} MB are read", "文件有 {size} MB，上限 {most} MB"),
    "too_big.fix": ("split it, or export its text", "请拆分，或导出其中的文本"),
    "too_many_pages": ("{count} pages; at most {most} are read", "共 {count} 页，上限 {most} 页"),
    "too_many_pages.fix": ("split it, or export its text", "请拆分，或导出其中的文本"),
    "doctype": (
        "{part} inside this {kind} file declares a document type, which no office program writes",
        "{kind} 文件里的 {part} 带有文档类型声明，办公软件不会这样写",
    ),
    "doctype.fix": ("open it in its program and save it again", "请用原来的程序打开，重新保存"),
    "locked": ("the PDF is locked with a password", "PDF 有密码"),
    "locked.fix": ("save a copy without a password", "请另存一份不带密码的"),
    "no_text_in_pdf": (
        "none of the {count} pages holds text: they are pictures, as a scanner makes them",
        "{count} 页里都没有文字，像是扫描件（图片）",
    ),
    "no_text_in_pdf.fix": (
        "run text recognition (OCR) over it, check the result, and give that as text or .docx",
        "请先做文字识别（OCR）并校对，再以文本或 .docx 提供",
    ),
}
