"""Fonts of pictures and pages: Noto Sans CJK under the SIL Open Font License (OFL.txt), subset by national sets."""
