"""
Jobs in a running master: what starts them, what becomes of them, and what people ask and order.
"""
